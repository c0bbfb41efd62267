"""Every state that the page can be in, and the way there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from playwright.sync_api import Locator, Route, expect

from tests.browser.stages import CLIP, TRANSCRIPT, Stage
from tests.browser.visitor import Visitor

TEXT = "The sea was calm that morning, and the gulls had not yet begun."
SECOND_TEXT = "A second text, which waits beside the first."
Reach = Callable[[Stage, Visitor], None]


@dataclass(frozen=True)
class State:
    """``name`` is that of its picture; ``reach`` leads there from the state before it."""

    name: str
    reach: Reach


@dataclass(frozen=True)
class Walk:
    """States of one visit, one after the other. ``mode`` is where they are to be seen."""

    name: str
    mode: str
    states: tuple[State, ...]


# --- speaking


def _sign_in(stage: Stage, visitor: Visitor) -> None:
    visitor.page.goto(stage.address)
    expect(visitor.dialog("Sign in")).to_be_visible()


def _speak(stage: Stage, visitor: Visitor) -> None:
    visitor.sign_in(stage.token)
    visitor.ready()


def _too_long(stage: Stage, visitor: Visitor) -> None:
    visitor.speak("A very long story.\n" * 600)
    expect(visitor.form.get_by_role("alert")).to_be_visible()


def _failed(stage: Stage, visitor: Visitor) -> None:
    visitor.watch.expect(502)
    visitor.page.route(
        "**/api/generate",
        lambda route: route.fulfill(
            status=502, json={"detail": "Failed to submit generation job.", "code": "x"}
        ),
        times=1,
    )
    visitor.speak(TEXT)
    expect(visitor.alerts.first).to_contain_text("Failed to submit")


def _running(stage: Stage, visitor: Visitor) -> None:
    stage.vendor.hold()
    for text in (TEXT, SECOND_TEXT):
        visitor.speak(text)
        expect(visitor.cancel_button(text)).to_be_visible()


def _several_failures(stage: Stage, visitor: Visitor) -> None:
    """Two jobs that can't be cancelled, for two reasons."""
    visitor.watch.expect(500, 503)
    why = {TEXT: (503, "The provider can’t be reached."), SECOND_TEXT: (500, "The disk is full.")}
    for text, (status, sentence) in why.items():
        answer = partial(_refuse, status, sentence)
        visitor.page.route("**/cancel", answer, times=1)
        visitor.cancel_button(text).click()
        expect(visitor.messages).to_contain_text(sentence)


def _refuse(status: int, sentence: str, route: Route) -> None:
    route.fulfill(status=status, json={"detail": sentence})


def _waiting(stage: Stage, visitor: Visitor) -> None:
    """The server answers no poll."""
    visitor.dismiss_everything()
    visitor.page.route(
        re.compile("/api/tasks/[^/?]+$"), lambda route: route.fulfill(status=503, body="{}")
    )
    expect(visitor.jobs.get_by_text(re.compile("doesn’t answer"))).to_have_count(2)


# --- what was spoken before


def _no_history(stage: Stage, visitor: Visitor) -> None:
    visitor.open("history")
    expect(visitor.main).to_contain_text("Nothing here yet")


def _playing(stage: Stage, visitor: Visitor) -> None:
    stage.spoken(TEXT)
    visitor.reload()
    visitor.act("Play", TEXT).click()
    expect(visitor.position).to_have_attribute("aria-valuetext", re.compile("of 0:03"))


def _history(stage: Stage, visitor: Visitor) -> None:
    stage.spoken_all(f"Chapter {number + 1}." for number in range(4))
    stage.spoken_all(["Bonjour tout le monde.", "مرحبا بالعالم"])
    stage.vendor.hold()
    cancelled = stage.speak("Never mind this one.")
    stage.ask("POST", f"/api/tasks/{cancelled}/cancel")
    stage.vendor.refuse()
    stage.try_to_speak("This one will not work out.")
    visitor.player.get_by_role("button", name="Close player").click()
    visitor.reload()
    expect(visitor.entries()).to_have_count(9)


def _deleted(stage: Stage, visitor: Visitor) -> None:
    visitor.act("Delete", "Chapter 4.").click()
    expect(visitor.messages.get_by_role("button", name="Undo")).to_be_visible()


def _nothing_found(stage: Stage, visitor: Visitor) -> None:
    visitor.messages.get_by_role("button", name="Undo").click()
    visitor.page.get_by_role("searchbox", name="Search history").fill("elephants")
    expect(visitor.entries()).to_have_count(0)


def _unreachable(stage: Stage, visitor: Visitor) -> None:
    visitor.watch.expect_no_answer()
    visitor.page.route("**/api/generations?**", lambda route: route.abort())
    visitor.reload()
    expect(visitor.page.get_by_role("button", name="Try again").first).to_be_visible()


# --- voices


def _voices(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    expect(visitor.voices.locator("> *").first).to_be_visible()


def _at_dialog(visitor: Visitor, name: str) -> Locator:
    visitor.page.get_by_role("button", name=name).click()
    return visitor.dialog(name)


def _clone_refused(stage: Stage, visitor: Visitor) -> None:
    dialog = _at_dialog(visitor, "Clone a voice")
    dialog.get_by_role("button", name="Create voice").click()
    expect(dialog.get_by_role("alert").filter(has_text=re.compile(r"\w")).first).to_be_visible()


def _clone(stage: Stage, visitor: Visitor) -> None:
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("textbox", name="Name").fill("Grandmother")
    dialog.get_by_role("textbox", name="Transcript").fill(TRANSCRIPT)
    dialog.get_by_label("Recording").set_input_files(
        {"name": "grandmother.wav", "mimeType": "audio/wav", "buffer": CLIP}
    )
    expect(dialog.get_by_text("grandmother.wav")).to_be_visible()


def _recording(stage: Stage, visitor: Visitor) -> None:
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("button", name="Record", exact=True).click()
    expect(dialog.get_by_role("button", name="Stop recording")).to_be_visible()


def _design(stage: Stage, visitor: Visitor) -> None:
    visitor.dialog("Clone a voice").get_by_role("button", name="Close").click()
    expect(_at_dialog(visitor, "Design a voice")).to_be_visible()


def _designed(stage: Stage, visitor: Visitor) -> None:
    dialog = visitor.dialog("Design a voice")
    dialog.get_by_role("textbox", name="Name").fill("Sailor")
    dialog.get_by_role("textbox", name="Description of the voice").fill("An old sailor, hoarse.")
    dialog.get_by_role("textbox", name="Text to say").fill("Good evening, all of you.")
    dialog.get_by_role("button", name="Make a preview").click()
    expect(dialog.get_by_role("button", name="Save voice")).to_be_enabled()


# --- a provider with voices of its own


def _written(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.text.fill(TEXT)


def _picker(stage: Stage, visitor: Visitor) -> None:
    visitor.voice.click()
    visitor.voice.fill("english")
    expect(visitor.options().first).to_be_visible()


def _own_voices(stage: Stage, visitor: Visitor) -> None:
    visitor.voice.press("Escape")
    visitor.go("Voices")
    expect(visitor.voices.locator("> *").first).to_be_visible()


WALKS = (
    Walk(
        "speaking",
        "modal",
        (
            State("sign-in", _sign_in),
            State("speak", _speak),
            State("text-too-long", _too_long),
            State("failed", _failed),
            State("jobs-running", _running),
            State("several-failures", _several_failures),
            State("server-silent", _waiting),
        ),
    ),
    Walk(
        "history",
        "modal",
        (
            State("history-empty", _no_history),
            State("player", _playing),
            State("history", _history),
            State("history-deleted", _deleted),
            State("history-nothing-found", _nothing_found),
            State("unreachable", _unreachable),
        ),
    ),
    Walk(
        "voices",
        "modal",
        (
            State("voices", _voices),
            State("clone-refused", _clone_refused),
            State("clone", _clone),
            State("clone-recording", _recording),
            State("design", _design),
            State("design-preview", _designed),
        ),
    ),
    Walk(
        "voices of its own",
        "local",
        (
            State("speak-local", _written),
            State("voice-picker", _picker),
            State("voices-local", _own_voices),
        ),
    ),
)
