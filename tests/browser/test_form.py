"""The form: what it asks for, what it refuses, and that one wish is one job."""

import json
import re

import pytest
from playwright.sync_api import Request, Route, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import Stage

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TEXT = "Say this once and never again."
GENERATE = "**/api/generate"


def test_the_keyboard_submits(modal: Stage, visits: Visits) -> None:
    """Ctrl or Cmd with Enter in the text is the button."""
    visitor = visits(modal).open()

    for keys, text in {"Control+Enter": TEXT, "Meta+Enter": f"{TEXT} Or twice."}.items():
        visitor.text.fill(text)
        visitor.text.press(keys)
        expect(visitor.player).to_contain_text(text)
        assert modal.vendor.accepted(text) == 1
        visitor.player.get_by_role("button", name="Close player").click()


def test_a_double_click_is_one_job(modal: Stage, visits: Visits) -> None:
    """Nobody pays for a nervous finger."""
    visitor = visits(modal).open()
    modal.vendor.hold()

    visitor.text.fill(TEXT)
    visitor.speak_button.dblclick()
    visitor.text.press("Control+Enter")

    expect(visitor.cancel_button(TEXT)).to_have_count(1)
    modal.vendor.release()
    expect(visitor.jobs).to_be_hidden()
    assert modal.vendor.accepted(TEXT) == 1


def test_the_same_text_may_be_spoken_again(modal: Stage, visits: Visits) -> None:
    """Once the first job is on its way, the next click is a wish of its own."""
    visitor = visits(modal).open()
    modal.vendor.hold()

    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_have_count(1)
    visitor.speak(TEXT)

    expect(visitor.cancel_button(TEXT)).to_have_count(2)
    assert modal.vendor.accepted(TEXT) == 2


def test_a_lost_answer_is_asked_for_again_with_the_same_key(modal: Stage, visits: Visits) -> None:
    """The server took the job and nobody heard it say so: sent again, it is still one job."""
    visitor = visits(modal).open()
    keys: list[str | None] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/generate"):
            keys.append(request.header_value("idempotency-key"))

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    visitor.context.on("request", note)
    visitor.page.route(GENERATE, lose, times=1)
    visitor.watch.expect_no_answer()

    visitor.speak(TEXT)
    expect(visitor.alerts.first).to_contain_text("can’t be reached")
    expect(visitor.text).to_have_value(TEXT)
    visitor.speak_button.click()

    expect(visitor.player).to_contain_text(TEXT)
    assert modal.vendor.accepted(TEXT) == 1
    assert len(keys) == 2
    assert keys[0]
    assert len(set(keys)) == 1


def test_a_reload_after_a_lost_answer_pays_once(modal: Stage, visits: Visits) -> None:
    """Reloaded before anybody could answer, the job is there, and the text is not asked for twice."""
    visitor = visits(modal).open()
    modal.vendor.hold()
    visitor.page.route(GENERATE, lambda route: (route.fetch(), route.abort()), times=1)
    visitor.watch.expect_no_answer()
    visitor.speak(TEXT)
    expect(visitor.alerts.first).to_contain_text("can’t be reached")

    visitor.reload()

    expect(visitor.cancel_button(TEXT)).to_have_count(1)
    assert modal.vendor.accepted(TEXT) == 1


def test_several_jobs_run_at_once(modal: Stage, visits: Visits) -> None:
    """Each has a card of its own, and the title counts them."""
    visitor = visits(modal).open()
    modal.vendor.hold()
    texts = [f"Text number {number}." for number in range(3)]

    for text in texts:
        visitor.speak(text)
        expect(visitor.cancel_button(text)).to_be_visible()

    expect(visitor.jobs.get_by_role("button", name=re.compile("^Cancel"))).to_have_count(3)
    expect(visitor.page).to_have_title("(3) Speak – ttsorch")
    visitor.cancel_button(texts[1]).click()
    expect(visitor.cancel_button(texts[1])).to_be_hidden()
    expect(visitor.cancel_button(texts[0])).to_be_visible()
    expect(visitor.page).to_have_title("(2) Speak – ttsorch")


def test_the_counter_counts_as_the_server_does(modal: Stage, visits: Visits) -> None:
    """In UTF-16 code units: an emoji is two."""
    visitor = visits(modal).open()

    visitor.text.fill("é😀")

    expect(visitor.counter).to_have_text("3 / 10,000")
    expect(visitor.form.get_by_text(re.compile("^About "))).to_be_visible()


def test_an_example_is_offered_to_who_has_written_nothing(modal: Stage, visits: Visits) -> None:
    """One press, and there is something to hear; it goes as soon as there is a text."""
    visitor = visits(modal).open()

    example = visitor.form.get_by_role("button", name="Take an example")
    example.click()

    expect(visitor.text).to_have_value(re.compile("gulls"))
    expect(visitor.text).to_be_focused()
    expect(example).to_be_hidden()
    expect(visitor.form.get_by_text(re.compile("^About "))).to_be_visible()


def test_what_cannot_be_spoken_is_not_sent(modal: Stage, visits: Visits) -> None:
    """Nothing, blanks, or too much: the form says what is wrong and keeps what was written; the server isn't
    asked."""
    visitor = visits(modal).open()
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.method))

    for text, words in {"": "Write", "  \n ": "Write", "x" * 10_001: "10,000"}.items():
        visitor.speak(text)
        expect(visitor.form.get_by_role("alert")).to_contain_text(words)
        expect(visitor.text).to_have_value(text)
        expect(visitor.text).to_be_focused()
    assert "POST" not in asked


def test_a_draft_outlives_a_reload(modal: Stage, visits: Visits) -> None:
    """What was written isn't lost, nor which language it is in."""
    visitor = visits(modal).open()
    visitor.text.fill(TEXT)
    visitor.language.select_option("German")

    visitor.reload()

    expect(visitor.text).to_have_value(TEXT)
    expect(visitor.language).to_have_value("German")


def test_the_picker_searches_the_whole_catalog(local: Stage, visits: Visits) -> None:
    """By name and by language, among more than a hundred voices; the arrows and Enter choose."""
    visitor = visits(local).open()

    visitor.voice.click()
    visitor.voice.fill("welsh")
    expect(visitor.options()).to_have_count(1)
    expect(visitor.options()).to_have_accessible_name(re.compile("Welsh"))
    visitor.voice.press("ArrowDown")
    visitor.voice.press("Enter")

    expect(visitor.options()).to_have_count(0)
    expect(visitor.voice).to_have_value(re.compile("Welsh"))
    visitor.voice.fill("no such voice")
    expect(visitor.page.get_by_text("No voice matches").filter(visible=True)).to_be_visible()
    visitor.voice.press("Escape")
    expect(visitor.voice).to_have_value(re.compile("Welsh"))


def test_what_begins_with_the_search_comes_first(local: Stage, visits: Visits) -> None:
    """A voice that only mentions the word, as "Chinese (latin as English)" does, comes after those."""
    visitor = visits(local).open()

    visitor.voice.click()
    visitor.voice.fill("english")
    names = visitor.options().all_text_contents()

    begins = [name.strip().lower().startswith("english") for name in names]
    assert set(begins) == {True, False}
    assert begins == sorted(begins, reverse=True)


def test_a_voice_of_another_provider_is_shown_and_says_why_it_cannot_speak(
    modal: Stage, visits: Visits
) -> None:
    """It is in the list, cannot be chosen, and nothing is hidden about it."""
    visitor = visits(modal)

    def add_one_of_qwen(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        body["voices"].append(
            {
                **body["voices"][0],
                "id": "0" * 8 + "-0000-4000-8000-" + "0" * 12,
                "name": "Guest",
                "tts_provider": "qwen",
            }
        )
        body["pagination"]["total"] += 1
        route.fulfill(response=answer, body=json.dumps(body))

    visitor.page.route("**/api/voices?page=1&**", add_one_of_qwen)
    visitor.open()
    visitor.voice.click()
    guest = visitor.options().filter(has_text="Guest")

    expect(guest).to_have_attribute("aria-disabled", "true")
    expect(guest).to_contain_text(re.compile("qwen", re.IGNORECASE))
    guest.click(force=True)
    expect(visitor.voice).not_to_have_value(re.compile("Guest"))


def test_a_link_of_the_contract_fills_the_form(modal: Stage, visits: Visits) -> None:
    """``redirect_url`` leads here, and starts nothing."""
    task = modal.task(modal.spoken(TEXT, language="French"))
    again = modal.ask("POST", f"/api/generations/{task['generation_id']}/regenerate")
    visitor = visits(modal)

    visitor.page.goto(modal.address + str(again["redirect_url"]))
    visitor.sign_in(modal.token)

    expect(visitor.text).to_have_value(TEXT)
    expect(visitor.language).to_have_value("French")
    assert modal.vendor.accepted(TEXT) == 1


def test_a_job_shows_its_progress(modal: Stage, visits: Visits) -> None:
    """A bar of its real progress where the provider tells it, the phase in words, the time that passed and
    the time that it may take."""
    visitor = visits(modal).open()

    def tell_progress(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps({**answer.json(), "progress": 0.4}))

    visitor.page.route(re.compile("/api/tasks/[^/]+$"), tell_progress)
    modal.vendor.hold()
    visitor.speak(TEXT)

    bar = visitor.jobs.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("value", re.compile(r"^(0\.)?40?$"))
    expect(visitor.jobs).to_contain_text(re.compile(r"\d+ s|\d:\d\d"))
    expect(visitor.jobs).to_contain_text(re.compile("about ", re.IGNORECASE))
