"""Every call that the page makes, by view: the way to it, and how one sees that it worked."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, expect

from tests.browser.stages import CLIP, TRANSCRIPT, Stage
from tests.browser.visitor import Visitor

TEXT = "What I typed is mine."
DRAFT = "A draft that must survive."


Prepare = Callable[[Stage, Visitor], None]


@dataclass(frozen=True)
class Call:
    """One call of the page: how one comes from its view to where it is made, how it is made, and how one sees
    that it worked in the end.

    ``means`` are statuses that are no failure of this call, as a 404 to a delete isn't.
    """

    name: str
    method: str
    path: str
    prepare: Prepare
    act: Callable[[Visitor], None]
    done: Callable[[Visitor], Locator]
    means: frozenset[int] = frozenset()
    needs_token: bool = True
    offers_again: bool = False


@dataclass(frozen=True)
class View:
    """Calls that are made in one visit, one after the other, once somebody is there."""

    name: str
    enter: Prepare
    calls: tuple[Call, ...]


def _draft(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.text.fill(DRAFT)


def _as_it_is(stage: Stage, visitor: Visitor) -> None:
    """Nothing has to be done first."""


def _spoken(stage: Stage, visitor: Visitor) -> None:
    stage.spoken(TEXT)
    _draft(stage, visitor)
    visitor.go("History")
    expect(visitor.entry(TEXT)).to_be_visible()


def _running(stage: Stage, visitor: Visitor) -> None:
    stage.vendor.hold()
    visitor.speak(DRAFT)
    expect(visitor.cancel_button(DRAFT)).to_be_visible()


def _at_voices(stage: Stage, visitor: Visitor) -> None:
    _draft(stage, visitor)
    visitor.go("Voices")
    expect(visitor.voice_entry("Anna")).to_be_visible()


def _cloning(name: str) -> Prepare:
    def clone(stage: Stage, visitor: Visitor) -> None:
        visitor.page.get_by_role("button", name="Clone a voice").click()
        dialog = visitor.dialog("Clone a voice")
        dialog.get_by_role("textbox", name="Name").fill(name)
        dialog.get_by_role("combobox", name="Language").select_option("English")
        dialog.get_by_role("textbox", name="Transcript").fill(TRANSCRIPT)
        dialog.get_by_label("Recording").set_input_files(
            {"name": f"{name}.wav", "mimeType": "audio/wav", "buffer": CLIP}
        )

    return clone


def _designing(stage: Stage, visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Design a voice").click()
    dialog = visitor.dialog("Design a voice")
    dialog.get_by_role("textbox", name="Name").fill("Sailor")
    dialog.get_by_role("textbox", name="Description of the voice").fill("An old sailor.")
    dialog.get_by_role("textbox", name="Text to say").fill("Good evening.")


def _press(name: str) -> Callable[[Visitor], None]:
    return lambda visitor: visitor.page.get_by_role("button", name=name).click()


def _try_again(visitor: Visitor) -> None:
    """By the button that the failure offers; the first time nothing has failed yet."""
    again = visitor.page.get_by_role("button", name="Try again").filter(visible=True)
    if again.count():
        again.first.click()
    else:
        visitor.page.reload()


#: Of these answers the page reads the head alone.
_NOTHING_TO_READ = frozenset({200})

_SPEAK = (
    Call(
        "languages",
        "GET",
        "/api/languages",
        _as_it_is,
        _try_again,
        lambda visitor: visitor.counter,
        offers_again=True,
    ),
    Call(
        "voices of the picker",
        "GET",
        r"/api/voices\?",
        _as_it_is,
        _try_again,
        lambda visitor: visitor.speak_button,
        offers_again=True,
    ),
    Call(
        "active tasks",
        "GET",
        r"/api/tasks\?",
        _as_it_is,
        _try_again,
        lambda visitor: visitor.speak_button,
        offers_again=True,
    ),
    Call(
        "generate",
        "POST",
        "/api/generate",
        _as_it_is,
        lambda visitor: visitor.speak_button.click(),
        lambda visitor: visitor.player.get_by_text(DRAFT),
    ),
    Call(
        "cancel",
        "POST",
        "/cancel$",
        _running,
        lambda visitor: visitor.cancel_button(DRAFT).click(),
        lambda visitor: visitor.speak_button,
        # It ended a moment ago, and how, the next poll tells.
        means=frozenset({404, 409}),
    ),
)
_HISTORY = (
    Call(
        "history",
        "GET",
        r"/api/generations\?",
        _as_it_is,
        _try_again,
        lambda visitor: visitor.entry(TEXT),
        offers_again=True,
    ),
    Call(
        "play",
        "HEAD",
        "/audio",
        _as_it_is,
        lambda visitor: visitor.act("Play", TEXT).click(),
        lambda visitor: visitor.position,
        means=_NOTHING_TO_READ,
    ),
    Call(
        "download",
        "HEAD",
        "/audio",
        _as_it_is,
        lambda visitor: visitor.act("Download", TEXT).click(),
        lambda visitor: visitor.entry(TEXT),
        means=_NOTHING_TO_READ,
    ),
    Call(
        "use again",
        "POST",
        "/regenerate$",
        _as_it_is,
        lambda visitor: visitor.act("Use again", TEXT).click(),
        lambda visitor: visitor.form,
    ),
)
_VOICES = (
    Call(
        "hear a voice",
        "HEAD",
        "/preview$",
        _as_it_is,
        _press("Preview Anna"),
        lambda visitor: visitor.position,
        means=_NOTHING_TO_READ,
    ),
    Call(
        "begin to clone",
        "POST",
        "/api/clone/upload-url",
        _cloning("Berta"),
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Berta"),
    ),
    Call(
        "upload",
        "PUT",
        "/api/",
        _cloning("Clara"),
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Clara"),
        means=_NOTHING_TO_READ,
        needs_token=False,
    ),
    Call(
        "clone",
        "POST",
        "/api/clone/finalize",
        _cloning("Dora"),
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Dora"),
    ),
    Call(
        "preview a design",
        "POST",
        "/api/voices/design/preview",
        _designing,
        _press("Make a preview"),
        lambda visitor: visitor.page.get_by_role("button", name="Save voice"),
    ),
    Call(
        "save a design",
        "POST",
        "/api/voices/design$",
        _as_it_is,
        _press("Save voice"),
        lambda visitor: visitor.voice_entry("Sailor"),
    ),
)
VIEWS = (
    View("speak", _draft, _SPEAK),
    View("history", _spoken, _HISTORY),
    View("voices", _at_voices, _VOICES),
)
