"""The whole way from a text to its sound, in each mode: local, and as a client of Modal and of Qwen."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.hearing import heard, wait_until_it_plays
from tests.browser.stages import Stage

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TEXT = "It was a bright cold day in April."
#: Work that takes a while: the engine can only be held while it is at it.
LONG_TEXT = {
    "local": "The evening was quiet. " * 200,
    "modal": "The evening was quiet.",
    "qwen": "The evening was quiet.",
}
AWKWARD = "Zoë said “100% <b>#1</b> & \"a+b\"='c'”\n\tمرحبا 👩‍👩‍👧 \\n %20 \x07\x1b ​?voice=x&text=y"


def test_a_text_becomes_sound(stage: Stage, visits: Visits, tmp_path: Path) -> None:
    """Write, press Speak, and hear it: it plays by itself, in an audio that knows how long it is. The history
    has it, with its language and when and how fast it was made; plays it again; and downloads it, named after
    what is said."""
    visitor = visits(stage).open()

    visitor.language.select_option("English")
    visitor.speak(TEXT)
    expect(visitor.player).to_contain_text(TEXT)
    assert wait_until_it_plays(visitor.page).duration > 1
    expect(visitor.jobs).to_be_hidden()
    visitor.player.get_by_role("button", name="Close player").click()
    assert stage.vendor.accepted(TEXT) == 1

    visitor.go("History")
    expect(visitor.entry(TEXT)).to_contain_text(
        re.compile(r"English · [\d.]+ s · made in [\d.]+ s")
    )
    expect(visitor.entry(TEXT).get_by_role("time")).to_be_visible()
    visitor.act("Play", TEXT).click()
    wait_until_it_plays(visitor.page)
    visitor.player.get_by_role("button", name="Pause").click()
    assert heard(visitor.page).paused

    with visitor.page.expect_download() as download:
        visitor.act("Download", TEXT).click()
    file = tmp_path / "speech"
    download.value.save_as(file)
    name = download.value.suggested_filename
    assert "bright cold day" in name.replace("-", " ").lower()
    assert name.endswith(".wav")
    assert file.read_bytes()[:4] == b"RIFF"


def test_a_job_outlives_a_reload_and_another_can_be_cancelled(stage: Stage, visits: Visits) -> None:
    """The state is the server's: after a reload the same job goes on to its end, and nothing was sent twice.
    Cancel ends a job, here and at the server."""
    text = LONG_TEXT[stage.mode]
    visitor = visits(stage).open()
    stage.in_progress(lambda: visitor.speak(text))
    expect(visitor.cancel_button(text)).to_be_visible()

    visitor.reload()

    expect(visitor.cancel_button(text)).to_have_count(1)
    stage.vendor.release()
    expect(visitor.jobs).to_be_hidden()
    assert stage.vendor.accepted(text) == 1

    stage.in_progress(lambda: visitor.speak(text))
    visitor.cancel_button(text).click()
    expect(visitor.jobs).to_be_hidden()
    visitor.go("History")
    expect(visitor.entries()).to_have_count(2)
    expect(visitor.entries().first).to_contain_text("cancelled", ignore_case=True)
    [newest, before] = stage.ask("GET", "/api/tasks?status=all&type=generate")["tasks"]
    assert (newest["status"], before["status"]) == ("cancelled", "completed")


def test_use_again_fills_the_form_and_starts_nothing(stage: Stage, visits: Visits) -> None:
    """Whatever characters a text has, it comes back as it was, with its language."""
    stage.spoken(AWKWARD, language="English")
    visitor = visits(stage).open("history")

    visitor.entries().first.get_by_role("button", name=re.compile("^Use again")).click()

    expect(visitor.text).to_have_value(AWKWARD)
    expect(visitor.language).to_have_value("English")
    expect(visitor.voice).not_to_have_value("")
    expect(visitor.jobs).to_be_hidden()
    assert stage.vendor.accepted(AWKWARD) == 1
