"""Whether something is really played: asked of the media element, wherever the page keeps it."""

from dataclasses import dataclass

from playwright.sync_api import Page

# The last element that was told to play.
_LISTEN = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  window.lastPlayed = this;
  return play.call(this);
};
"""
_PLAYS = "() => window.lastPlayed && !window.lastPlayed.paused && window.lastPlayed.currentTime > 0"
_GOES_ON = "(before) => window.lastPlayed.currentTime > before"
_NOW = """() => ({
  at: window.lastPlayed.currentTime,
  duration: window.lastPlayed.duration,
  paused: window.lastPlayed.paused,
})"""


@dataclass(frozen=True)
class Heard:
    """In seconds."""

    at: float
    duration: float
    paused: bool


def listen(page: Page) -> None:
    """Before the page is opened."""
    page.add_init_script(_LISTEN)


def heard(page: Page) -> Heard:
    """Where the audio is now."""
    return Heard(**page.evaluate(_NOW))


def wait_until_it_plays(page: Page) -> Heard:
    """Wait until time passes in the audio; where it is then."""
    page.wait_for_function(_PLAYS)
    page.wait_for_function(_GOES_ON, arg=heard(page).at)
    return heard(page)
