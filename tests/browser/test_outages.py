"""Bad networks and bad moments: offline, slow, restarted, hidden, and more than one tab."""

import re

import pytest
from playwright.sync_api import Request, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.latency import slowed
from tests.browser.stages import Stage
from tests.browser.visitor import patience

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TEXT = "Say this whatever happens."
#: Pretends that another tab is in front.
_HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  Object.defineProperty(document, "visibilityState",
    { configurable: true, get: () => hidden ? "hidden" : "visible" });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


def test_offline_is_told_and_ends_by_itself(modal: Stage, visits: Visits) -> None:
    """Without a network the page says so and keeps the text; with one again, it works."""
    visitor = visits(modal).open()
    visitor.watch.expect_no_answer()
    visitor.context.set_offline(True)

    visitor.speak(TEXT)
    expect(visitor.alerts.first).to_contain_text("can’t be reached")
    expect(visitor.alerts.first).to_contain_text("offline")
    expect(visitor.text).to_have_value(TEXT)
    visitor.context.set_offline(False)
    visitor.speak_button.click()

    expect(visitor.player).to_contain_text(TEXT)
    assert modal.vendor.accepted(TEXT) == 1


def test_a_server_that_restarts_during_a_job_loses_nothing(modal: Stage, visits: Visits) -> None:
    """Killed and started again: the page says that it waits, and then the job ends as if nothing happened."""
    visitor = visits(modal).open()
    visitor.watch.expect_no_answer()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()

    modal.kill()
    expect(visitor.jobs).to_contain_text(
        re.compile(r"The server doesn’t answer; trying again in \d+ s")
    )
    modal.restart()
    modal.vendor.release()

    expect(visitor.jobs).to_be_hidden()
    expect(visitor.player).to_contain_text(TEXT)
    assert modal.vendor.accepted(TEXT) == 1


def test_a_slow_road_only_makes_it_slower(modal: Stage, visits: Visits) -> None:
    """Two seconds later than anywhere else everything comes, once."""
    with slowed(modal.port, seconds=2.0) as address:
        visitor = visits(modal, origin=address)
        with patience(visitor, 60_000):
            visitor.open()
            visitor.text.fill(TEXT)
            visitor.speak_button.dblclick()
            visitor.text.press("Control+Enter")

            expect(visitor.player).to_contain_text(TEXT)
    assert modal.vendor.accepted(TEXT) == 1


def test_polling_waits_longer_when_nobody_answers(modal: Stage, visits: Visits) -> None:
    """Each time twice as long as before, so that a server that comes back isn't run over."""
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.open()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()
    visitor.watch.expect(503)
    visitor.page.route(re.compile("/api/tasks/[^/]+$"), lambda route: route.fulfill(status=503))
    told = visitor.jobs.get_by_text(re.compile(r"trying again in (\d+) s"))

    waits: list[int] = []
    for _ in range(3):
        with visitor.page.expect_response(re.compile("/api/tasks/[^/]+$")):
            visitor.page.clock.run_for(1000 * (waits[-1] if waits else 5) + 1000)
        visitor.page.clock.run_for(0)
        expect(told).to_be_visible()
        [wait] = re.findall(r"in (\d+) s", told.inner_text())
        waits.append(int(wait))

    assert waits == sorted(set(waits))


def test_a_hidden_tab_rests_and_wakes_up(modal: Stage, visits: Visits) -> None:
    """Long in the background it asks nothing; in front again it knows at once how things are."""
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.open()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()
    polls: list[str] = []

    def count(request: Request) -> None:
        polls.append(request.url)

    visitor.page.evaluate(_HIDE, True)
    for _ in range(20):
        visitor.page.clock.run_for(60_000)
    visitor.page.on("request", count)
    for _ in range(20):
        visitor.page.clock.run_for(60_000)
    assert polls == []
    modal.vendor.release()
    visitor.page.evaluate(_HIDE, False)

    expect(visitor.jobs).to_be_hidden()
    assert polls


def test_the_title_tells_who_looks_elsewhere_that_a_job_is_done(
    modal: Stage, visits: Visits
) -> None:
    """The number of jobs, then a tick, until somebody has looked."""
    visitor = visits(modal).open()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.page).to_have_title("(1) Speak – ttsorch")

    visitor.page.evaluate(_HIDE, True)
    modal.vendor.release()
    expect(visitor.page).to_have_title("✓ Speak – ttsorch")
    visitor.page.evaluate(_HIDE, False)

    expect(visitor.page).to_have_title("Speak – ttsorch")


def test_polling_follows_the_hint_of_the_server(modal: Stage, visits: Visits) -> None:
    """Not sooner than the server finds worth while."""
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.open()
    modal.vendor.hold()
    polls: list[Request] = []
    is_a_poll = re.compile("/api/tasks/[^/?]+$")

    def patient(route) -> None:  # type: ignore[no-untyped-def]
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "poll_after_ms": 30_000})

    visitor.page.route(is_a_poll, patient)
    with visitor.page.expect_response(is_a_poll):
        visitor.speak(TEXT)
        expect(visitor.cancel_button(TEXT)).to_be_visible()
        visitor.page.clock.run_for(2_000)
    visitor.page.on("request", lambda request: polls.append(request))

    for _ in range(2):
        visitor.page.clock.run_for(25_000)
        assert [request for request in polls if is_a_poll.search(request.url)] == []
        with visitor.page.expect_response(is_a_poll):
            visitor.page.clock.run_for(6_000)
        polls.clear()


def test_two_tabs_know_of_the_same_jobs(modal: Stage, visits: Visits) -> None:
    """What one tab begins, the other one shows, and what one cancels has ended in both."""
    one = visits(modal).open()
    modal.vendor.hold()
    one.speak(TEXT)
    expect(one.cancel_button(TEXT)).to_be_visible()

    other = visits(modal).open()
    expect(other.cancel_button(TEXT)).to_be_visible()
    other.cancel_button(TEXT).click()

    expect(other.jobs).to_be_hidden()
    expect(one.jobs).to_be_hidden()
    assert modal.vendor.accepted(TEXT) == 1


def test_another_browser_finds_the_job_and_its_sound(modal: Stage, visits: Visits) -> None:
    """Begun here, finished there: everything is the server's."""
    here = visits(modal).open()
    modal.vendor.hold()
    here.speak(TEXT)
    expect(here.cancel_button(TEXT)).to_be_visible()
    here.page.close()

    there = visits(modal).open()
    expect(there.cancel_button(TEXT)).to_be_visible()
    modal.vendor.release()

    expect(there.jobs).to_be_hidden()
    there.go("History")
    expect(there.act("Play", TEXT)).to_be_visible()
