"""Every state that the page can be in, and the way there."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import expect

from tests.browser.stages import CLIP, TRANSCRIPT, Stage
from tests.browser.visitor import Visitor

TEXT = "The sea was calm that morning, and the gulls had not yet begun."
Reach = Callable[[Stage, Visitor], None]


@dataclass(frozen=True)
class State:
    """``name`` is that of its picture. ``mode`` is where it is to be seen."""

    name: str
    reach: Reach
    mode: str = "modal"


def _speak(stage: Stage, visitor: Visitor) -> None:
    visitor.open()


def _written(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.text.fill(TEXT)


def _picker(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.voice.click()
    visitor.voice.fill("english")
    expect(visitor.options().first).to_be_visible()


def _too_long(stage: Stage, visitor: Visitor) -> None:
    visitor.open()
    visitor.speak("A very long story.\n" * 600)
    expect(visitor.form.get_by_role("alert")).to_be_visible()


def _running(stage: Stage, visitor: Visitor) -> None:
    stage.vendor.hold()
    visitor.open()
    for text in (TEXT, "A second text, which waits beside the first."):
        visitor.speak(text)
        expect(visitor.cancel_button(text)).to_be_visible()


def _waiting(stage: Stage, visitor: Visitor) -> None:
    """The server answers no poll."""
    visitor.watch.expect(503)
    _running(stage, visitor)
    visitor.page.route(
        re.compile("/api/tasks/[^/?]+$"), lambda route: route.fulfill(status=503, body="{}")
    )
    expect(visitor.jobs.get_by_text(re.compile("doesn’t answer")).first).to_be_visible()


def _playing(stage: Stage, visitor: Visitor) -> None:
    stage.spoken(TEXT)
    visitor.open("history")
    visitor.act("Play", TEXT).click()
    expect(visitor.position).to_have_attribute("aria-valuetext", re.compile("of 0:03"))


def _failed(stage: Stage, visitor: Visitor) -> None:
    visitor.watch.expect(502)
    visitor.open()
    visitor.page.route(
        "**/api/generate",
        lambda route: route.fulfill(
            status=502, json={"detail": "Failed to submit generation job.", "code": "x"}
        ),
    )
    visitor.speak(TEXT)
    expect(visitor.alerts.first).to_be_visible()


def _unreachable(stage: Stage, visitor: Visitor) -> None:
    visitor.watch.expect_no_answer()
    visitor.open()
    visitor.page.route("**/api/generations?**", lambda route: route.abort())
    visitor.go("History")
    expect(visitor.page.get_by_role("button", name="Try again").first).to_be_visible()


def _sign_in(stage: Stage, visitor: Visitor) -> None:
    visitor.page.goto(stage.address)
    expect(visitor.dialog("Sign in")).to_be_visible()


def _no_history(stage: Stage, visitor: Visitor) -> None:
    visitor.open("history")
    expect(visitor.main).to_contain_text("Nothing here yet")


def _history(stage: Stage, visitor: Visitor) -> None:
    stage.spoken_all(f"Chapter {number + 1}." for number in range(4))
    stage.spoken_all([TEXT, "Bonjour tout le monde.", "مرحبا بالعالم"])
    stage.vendor.hold()
    cancelled = stage.speak("Never mind this one.")
    stage.ask("POST", f"/api/tasks/{cancelled}/cancel")
    failing = stage.speak("This one will not work out.")
    stage.vendor.fail("The voice could not be read")
    stage.wait_until(lambda: stage.task(failing)["status"] == "failed")
    visitor.open("history")
    expect(visitor.entries()).to_have_count(9)


def _deleted(stage: Stage, visitor: Visitor) -> None:
    stage.spoken_all([TEXT, "This will be deleted."])
    visitor.open("history")
    visitor.act("Delete", "This will be deleted.").click()
    expect(visitor.messages.get_by_role("button", name="Undo")).to_be_visible()


def _nothing_found(stage: Stage, visitor: Visitor) -> None:
    stage.spoken(TEXT)
    visitor.open("history")
    visitor.page.get_by_role("searchbox", name="Search history").fill("elephants")
    expect(visitor.entries()).to_have_count(0)


def _voices(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    expect(visitor.voices.locator("> *").first).to_be_visible()


def _clone(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    visitor.page.get_by_role("button", name="Clone a voice").click()
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("textbox", name="Name").fill("Grandmother")
    dialog.get_by_role("textbox", name="Transcript").fill(TRANSCRIPT)
    dialog.get_by_label("Recording").set_input_files(
        {"name": "grandmother.wav", "mimeType": "audio/wav", "buffer": CLIP}
    )


def _recording(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    visitor.page.get_by_role("button", name="Clone a voice").click()
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("button", name="Record", exact=True).click()
    expect(dialog.get_by_role("button", name="Stop recording")).to_be_visible()


def _clone_refused(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    visitor.page.get_by_role("button", name="Clone a voice").click()
    dialog = visitor.dialog("Clone a voice")
    dialog.get_by_role("button", name="Create voice").click()
    expect(dialog.get_by_role("alert").filter(has_text=re.compile(r"\w")).first).to_be_visible()


def _design(stage: Stage, visitor: Visitor) -> None:
    visitor.open("voices")
    visitor.page.get_by_role("button", name="Design a voice").click()
    expect(visitor.dialog("Design a voice")).to_be_visible()


def _designed(stage: Stage, visitor: Visitor) -> None:
    _design(stage, visitor)
    dialog = visitor.dialog("Design a voice")
    dialog.get_by_role("textbox", name="Name").fill("Sailor")
    dialog.get_by_role("textbox", name="Description of the voice").fill("An old sailor, hoarse.")
    dialog.get_by_role("textbox", name="Text to say").fill("Good evening, all of you.")
    dialog.get_by_role("button", name="Make a preview").click()
    expect(dialog.get_by_role("button", name="Save voice")).to_be_enabled()


STATES = (
    State("speak", _speak),
    State("speak-local", _written, "local"),
    State("voice-picker", _picker, "local"),
    State("text-too-long", _too_long),
    State("jobs-running", _running),
    State("server-silent", _waiting),
    State("player", _playing),
    State("failed", _failed),
    State("unreachable", _unreachable),
    State("sign-in", _sign_in),
    State("history-empty", _no_history),
    State("history", _history),
    State("history-deleted", _deleted),
    State("history-nothing-found", _nothing_found),
    State("voices", _voices),
    State("voices-local", _voices, "local"),
    State("clone", _clone),
    State("clone-recording", _recording),
    State("clone-refused", _clone_refused),
    State("design", _design),
    State("design-preview", _designed),
)
