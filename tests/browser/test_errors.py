"""Errors injected on every call that the page makes: each is told in words, and nothing typed is lost."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import CLIP, TRANSCRIPT, Stage
from tests.browser.trouble import SIGNED_OUT, STATUSES, TROUBLES, Road
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TEXT = "What I typed is mine."
DRAFT = "A draft that must survive."


@dataclass(frozen=True)
class Call:
    """One call of the page: how it comes to make it, and how one sees that it worked in the end.

    ``means`` are statuses that are no failure of this call, as a 404 to a delete isn't.
    """

    name: str
    method: str
    path: str
    prepare: Callable[[Stage, Visitor], None]
    act: Callable[[Visitor], None]
    done: Callable[[Visitor], Locator]
    means: frozenset[int] = frozenset()
    needs_token: bool = True
    offers_again: bool = False


def _draft(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.text.fill(DRAFT)


def _spoken(stage: Stage, visitor: Visitor) -> None:
    stage.spoken(TEXT)
    _draft(stage, visitor)
    visitor.go("History")
    expect(visitor.entry(TEXT)).to_be_visible()


def _running(stage: Stage, visitor: Visitor) -> None:
    _draft(stage, visitor)
    stage.vendor.hold()
    visitor.speak(DRAFT)
    expect(visitor.cancel_button(DRAFT)).to_be_visible()


def _at_voices(stage: Stage, visitor: Visitor) -> None:
    _draft(stage, visitor)
    visitor.go("Voices")
    expect(visitor.voice_entry("Anna")).to_be_visible()


def _cloning(stage: Stage, visitor: Visitor) -> None:
    _at_voices(stage, visitor)
    visitor.page.get_by_role("button", name="Clone a voice").click()
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("textbox", name="Name").fill("Berta")
    dialog.get_by_role("combobox", name="Language").select_option("English")
    dialog.get_by_role("textbox", name="Transcript").fill(TRANSCRIPT)
    dialog.get_by_label("Recording").set_input_files(
        {"name": "berta.wav", "mimeType": "audio/wav", "buffer": CLIP}
    )


def _designing(stage: Stage, visitor: Visitor) -> None:
    _at_voices(stage, visitor)
    visitor.page.get_by_role("button", name="Design a voice").click()
    dialog = visitor.dialog("Design a voice")
    dialog.get_by_role("textbox", name="Name").fill("Sailor")
    dialog.get_by_role("textbox", name="Description of the voice").fill("An old sailor.")
    dialog.get_by_role("textbox", name="Text to say").fill("Good evening.")


def _designed(stage: Stage, visitor: Visitor) -> None:
    _designing(stage, visitor)
    _press("Make a preview")(visitor)
    expect(visitor.page.get_by_role("button", name="Save voice")).to_be_enabled()


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

CALLS = (
    Call(
        "languages",
        "GET",
        "/api/languages",
        _draft,
        _try_again,
        lambda visitor: visitor.counter,
        offers_again=True,
    ),
    Call(
        "voices of the picker",
        "GET",
        r"/api/voices\?",
        _draft,
        _try_again,
        lambda visitor: visitor.speak_button,
        offers_again=True,
    ),
    Call(
        "active tasks",
        "GET",
        r"/api/tasks\?",
        _draft,
        _try_again,
        lambda visitor: visitor.speak_button,
        offers_again=True,
    ),
    Call(
        "generate",
        "POST",
        "/api/generate",
        _draft,
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
    Call(
        "history",
        "GET",
        r"/api/generations\?",
        _spoken,
        _try_again,
        lambda visitor: visitor.entry(TEXT),
        offers_again=True,
    ),
    Call(
        "play",
        "HEAD",
        "/audio",
        _spoken,
        lambda visitor: visitor.act("Play", TEXT).click(),
        lambda visitor: visitor.position,
        means=_NOTHING_TO_READ,
    ),
    Call(
        "download",
        "HEAD",
        "/audio",
        _spoken,
        lambda visitor: visitor.act("Download", TEXT).click(),
        lambda visitor: visitor.entry(TEXT),
        means=_NOTHING_TO_READ,
    ),
    Call(
        "use again",
        "POST",
        "/regenerate$",
        _spoken,
        lambda visitor: visitor.act("Use again", TEXT).click(),
        lambda visitor: visitor.form,
    ),
    Call(
        "hear a voice",
        "HEAD",
        "/preview$",
        _at_voices,
        _press("Preview Anna"),
        lambda visitor: visitor.position,
        means=_NOTHING_TO_READ,
    ),
    Call(
        "begin to clone",
        "POST",
        "/api/clone/upload-url",
        _cloning,
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Berta"),
    ),
    Call(
        "upload",
        "PUT",
        "/api/",
        _cloning,
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Berta"),
        means=_NOTHING_TO_READ,
        needs_token=False,
    ),
    Call(
        "clone",
        "POST",
        "/api/clone/finalize",
        _cloning,
        _press("Create voice"),
        lambda visitor: visitor.voice_entry("Berta"),
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
        _designed,
        _press("Save voice"),
        lambda visitor: visitor.voice_entry("Sailor"),
    ),
)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_that_fails_is_told_and_loses_nothing(
    modal: Stage, visits: Visits, call: Call
) -> None:
    """Nine ways to fail, one after the other, each in words; then the token is refused; then it works."""
    visitor = visits(modal)
    visitor.watch.expect(*STATUSES)
    visitor.watch.expect_no_answer()
    visitor.page.clock.install()
    road = Road(visitor.page, call.method, call.path)
    call.prepare(modal, visitor)
    typed = _typed(visitor)

    for trouble in TROUBLES:
        if trouble.status in call.means:
            continue
        if not call.offers_again:
            visitor.dismiss_everything()
        road.block(trouble)
        call.act(visitor)
        told = visitor.alerts.filter(has_text=re.compile(trouble.say))
        expect(told.first, f"{trouble.name} is not told").to_be_visible()
        assert _typed(visitor) == typed, f"{trouble.name} lost what was typed"
        if trouble.retry_after is not None:
            _sees_the_wait(visitor, trouble.retry_after)
            visitor.page.clock.run_for(1000 * trouble.retry_after + 1000)
    if call.needs_token:
        road.block(SIGNED_OUT)
        call.act(visitor)
        expect(visitor.dialog("Sign in")).to_be_visible()
    road.open()
    if call.needs_token:
        visitor.sign_in(modal.token)
    else:
        call.act(visitor)

    expect(call.done(visitor).first).to_be_visible()


def _sees_the_wait(visitor: Visitor, seconds: int) -> None:
    """How long it takes until it is worth trying again; a second may have passed since."""
    wait = visitor.page.get_by_text(re.compile(rf"again in ({seconds}|{seconds - 1}) s"))
    expect(wait.filter(visible=True).first).to_be_visible()


def _typed(visitor: Visitor) -> list[str]:
    """Everything that somebody has written into the page."""
    written: list[str] = visitor.page.evaluate(
        """() => [...document.querySelectorAll("textarea, input[type=text]:not([role=combobox])")]
             .map((field) => field.value)"""
    )
    return written


@pytest.mark.parametrize(
    ("view", "path", "shown", "button"),
    [
        ("history", "/api/generations/", TEXT, f"Delete: {TEXT}"),
        ("voices", "/api/voices/", "Anna", "Delete Anna"),
    ],
    ids=["history", "voices"],
)
def test_what_could_not_be_deleted_is_back(
    modal: Stage, visits: Visits, view: str, path: str, shown: str, button: str
) -> None:
    """The request leaves after the time for second thoughts; when it fails, the entry returns, and the page
    says why."""
    modal.spoken(TEXT)
    visitor = visits(modal)
    visitor.watch.expect(*STATUSES)
    visitor.watch.expect_no_answer()
    visitor.page.clock.install()
    road = Road(visitor.page, "DELETE", path)
    visitor.open(view)
    delete = visitor.main.get_by_role("button", name=button)

    for trouble in TROUBLES:
        if trouble.status == 404:
            continue  # somebody else deleted it: that is what was wanted
        visitor.dismiss_everything()
        road.block(trouble)
        delete.click()
        expect(delete).to_have_count(0)
        visitor.page.clock.run_for(9_000)
        told = visitor.alerts.filter(has_text=re.compile(trouble.say))
        expect(told.first, f"{trouble.name} is not told").to_contain_text(shown)
        expect(delete).to_be_visible()


def test_a_poll_that_fails_is_told_and_made_again(modal: Stage, visits: Visits) -> None:
    """Whatever went wrong, the card says that nobody answers and when it asks again; the job is none the
    worse for it."""
    visitor = visits(modal)
    visitor.watch.expect(*STATUSES)
    visitor.watch.expect_no_answer()
    visitor.page.clock.install()
    road = Road(visitor.page, "GET", "/api/tasks/[^/?]+$")
    modal.vendor.hold()
    visitor.open().speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()
    silent = visitor.jobs.get_by_text(re.compile(r"doesn’t answer; trying again in \d+ s"))

    for trouble in TROUBLES:
        if trouble.status == 404:
            continue  # the job is gone
        road.block(trouble)
        visitor.page.clock.run_for(6_000)
        expect(silent, trouble.name).to_be_visible()
        road.open()
        visitor.page.clock.run_for(8_000)
        expect(silent).to_have_count(0)
    modal.vendor.release()
    visitor.page.clock.run_for(6_000)

    expect(visitor.player).to_contain_text(TEXT)
    assert modal.vendor.accepted(TEXT) == 1


def test_a_job_that_somebody_deleted_leaves_quietly(modal: Stage, visits: Visits) -> None:
    """A poll that finds nothing is no failure: the card goes."""
    visitor = visits(modal).open()
    visitor.watch.expect(404)
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()

    [task] = modal.ask("GET", "/api/tasks?status=active")["tasks"]
    modal.ask("DELETE", f"/api/tasks/{task['id']}")

    expect(visitor.jobs).to_be_hidden()
    assert visitor.alerts.count() == 0
