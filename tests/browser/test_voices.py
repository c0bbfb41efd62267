"""Voices: finding, hearing, cloning, designing and deleting them, as far as the provider can."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.hearing import wait_until_it_plays
from tests.browser.stages import TRANSCRIPT, Stage
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@pytest.fixture(params=["modal", "qwen"])
def casting(request: pytest.FixtureRequest, stages: Callable[[str], Stage]) -> Stage:
    """The modes that make voices."""
    chosen = stages(request.param)
    chosen.new_owner()
    return chosen


def clone_dialog(visitor: Visitor) -> Locator:
    visitor.page.get_by_role("button", name="Clone a voice").click()
    return visitor.dialog("Clone a voice")


def fill_in(dialog: Locator, name: str) -> None:
    dialog.get_by_role("textbox", name="Name").fill(name)
    dialog.get_by_role("combobox", name="Language").select_option("English")
    dialog.get_by_role("textbox", name="Transcript").fill(TRANSCRIPT)


def names(stage: Stage, source: str) -> list[str]:
    """The owner's voices from this source, newest first."""
    voices = stage.ask("GET", f"/api/voices?source={source}")["voices"]
    return [voice["name"] for voice in voices]


def test_a_voice_is_cloned_from_a_file(casting: Stage, visits: Visits, clip: Path) -> None:
    """Chosen, heard, named and made; and it can speak."""
    visitor = visits(casting).open("voices")
    dialog = clone_dialog(visitor)

    dialog.get_by_label("Recording").set_input_files(clip)
    fill_in(dialog, "My own voice")
    dialog.get_by_role("button", name="Create voice").click()

    expect(dialog).to_be_hidden()
    expect(visitor.voice_entry("My own voice")).to_be_visible()
    visitor.voices.get_by_role("button", name="Preview My own voice").click()
    wait_until_it_plays(visitor.page)
    visitor.player.get_by_role("button", name="Close player").click()
    visitor.voices.get_by_role("button", name="Speak with My own voice").click()
    expect(visitor.voice).to_have_value(re.compile("My own voice"))
    visitor.speak("It is me.")
    expect(visitor.player).to_contain_text("It is me.")
    assert names(casting, "uploaded").count("My own voice") == 1


def test_a_voice_is_cloned_from_the_microphone(casting: Stage, visits: Visits) -> None:
    """Recorded in the page, heard before it is sent, in a form that the vendor takes."""
    visitor = visits(casting).open("voices")
    dialog = clone_dialog(visitor)

    dialog.get_by_role("button", name="Record", exact=True).click()
    stop = dialog.get_by_role("button", name="Stop recording")
    # Qwen wants three seconds of speech, and a recording can't be hurried.
    enough = "0:04" if casting.mode == "qwen" else "0:01"
    expect(dialog).to_contain_text(f"Recording… {enough}")
    stop.click()
    fill_in(dialog, "From the microphone")
    dialog.get_by_role("button", name="Create voice").click()

    expect(dialog).to_be_hidden()
    expect(visitor.voice_entry("From the microphone")).to_be_visible()
    assert "From the microphone" in names(casting, "uploaded")


def test_a_voice_is_designed(casting: Stage, visits: Visits) -> None:
    """Described, heard, and kept only when it is liked: one design is paid for."""
    visitor = visits(casting).open("voices")
    visitor.page.get_by_role("button", name="Design a voice").click()
    dialog = visitor.dialog("Design a voice")

    dialog.get_by_role("textbox", name="Name").fill("Sailor")
    dialog.get_by_role("textbox", name="Description of the voice").fill("An old sailor, hoarse.")
    dialog.get_by_role("combobox", name="Language").select_option("English")
    dialog.get_by_role("textbox", name="Text to say").fill("Good evening, all.")
    dialog.get_by_role("button", name="Make a preview").click()
    save = dialog.get_by_role("button", name="Save voice")
    expect(save).to_be_enabled()
    assert names(casting, "designed") == []
    save.click()

    expect(dialog).to_be_hidden()
    expect(visitor.voice_entry("Sailor")).to_be_visible()
    assert names(casting, "designed") == ["Sailor"]


def test_a_deleted_voice_can_be_taken_back(modal: Stage, visits: Visits) -> None:
    """And is gone, but for its name in the history, when nobody does."""
    modal.clone("Berta")
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.open("voices")
    delete = visitor.voices.get_by_role("button", name="Delete Berta")

    delete.click()
    expect(visitor.voice_entry("Berta")).to_have_count(0)
    visitor.messages.get_by_role("button", name="Undo").click()
    expect(visitor.voice_entry("Berta")).to_be_visible()
    delete.click()
    with visitor.page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        visitor.page.clock.run_for(9_000)

    assert deleted.value.status == 200
    assert names(modal, "uploaded") == ["Anna"]


def test_voices_are_searched_and_filtered(modal: Stage, visits: Visits) -> None:
    """By name, and by where they come from."""
    for name in ("Berta", "Clara"):
        modal.clone(name)
    visitor = visits(modal).open("voices")
    expect(visitor.voices.locator("> *")).to_have_count(3)

    visitor.page.get_by_role("searchbox", name="Search voices").fill("bert")
    expect(visitor.voices.locator("> *")).to_have_text([re.compile("Berta")])
    visitor.page.get_by_role("searchbox", name="Search voices").fill("")
    visitor.page.get_by_role("combobox", name="Source").select_option("Designed")
    expect(visitor.voices.locator("> *")).to_have_count(0)
    visitor.page.get_by_role("combobox", name="Source").select_option("My clones")
    expect(visitor.voices.locator("> *")).to_have_count(3)


def test_a_provider_without_cloning_offers_none(local: Stage, visits: Visits) -> None:
    """Neither cloning nor design, nor deleting a voice that is built in; but many voices, in pages."""
    visitor = visits(local).open("voices")

    expect(visitor.voices.locator("> *").first).to_be_visible()
    expect(visitor.pages).to_contain_text(re.compile(r"Page 1 of \d+"))
    for name in ("Clone a voice", "Design a voice"):
        expect(visitor.page.get_by_role("button", name=name)).to_have_count(0)
    expect(visitor.voices.get_by_role("button", name=re.compile("^Delete"))).to_have_count(0)


def test_what_is_no_recording_is_refused_in_words(
    modal: Stage, visits: Visits, tmp_path: Path
) -> None:
    """And nothing that was typed is lost."""
    wrong = tmp_path / "letter.wav"
    wrong.write_text("Dear sir or madam")
    visitor = visits(modal).open("voices")
    visitor.watch.expect(400)
    dialog = clone_dialog(visitor)

    dialog.get_by_label("Recording").set_input_files(wrong)
    fill_in(dialog, "Letter")
    dialog.get_by_role("button", name="Create voice").click()

    expect(
        dialog.get_by_role("alert").filter(has_text=re.compile("audio|recording"))
    ).to_be_visible()
    expect(dialog.get_by_role("textbox", name="Name")).to_have_value("Letter")
    expect(dialog.get_by_role("textbox", name="Transcript")).to_have_value(TRANSCRIPT)
    assert names(modal, "uploaded") == ["Anna"]
