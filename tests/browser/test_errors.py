"""Errors injected on every call that the page makes: each is told in words, and nothing typed is lost."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.calls import TEXT, VIEWS, Call, View
from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import Stage
from tests.browser.trouble import SIGNED_OUT, STATUSES, TROUBLES, Road, Trouble
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

_SOME, _ALL = "some", "all"


@pytest.mark.parametrize("share", [_SOME, pytest.param(_ALL, marks=pytest.mark.deep)])
@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_a_call_that_fails_is_told_and_loses_nothing(
    modal: Stage, visits: Visits, view: View, share: str
) -> None:
    """Each call of a view fails in one way after the other, each told in words; then its token is refused;
    then it works. All ways for every call are a longer proof; otherwise each call has a few of them, and each
    of them a few calls."""
    visitor = visits(modal)
    visitor.watch.expect(*STATUSES)
    visitor.watch.expect_no_answer()
    visitor.page.clock.install()
    view.enter(modal, visitor)

    for number, call in enumerate(view.calls):
        road = Road(visitor.page, call.method, call.path)
        call.prepare(modal, visitor)
        possible = [trouble for trouble in TROUBLES if trouble.status not in call.means]
        # Neighbours in the table have different ones.
        _fail(visitor, call, road, possible if share == _ALL else possible[number % 3 :: 3])
        _sign_in_again(visitor, call, road, modal.token)
        road.open()
        if not call.needs_token:
            call.act(visitor)
        expect(call.done(visitor).first, f"{call.name} doesn't work again").to_be_visible()
        visitor.dismiss_everything()


def _fail(visitor: Visitor, call: Call, road: Road, troubles: list[Trouble]) -> None:
    typed = _typed(visitor)
    for trouble in troubles:
        what = f"{call.name}: {trouble.name}"
        if not call.offers_again:
            visitor.dismiss_everything()
        road.block(trouble)
        call.act(visitor)
        told = visitor.alerts.filter(has_text=re.compile(trouble.say))
        expect(told.first, f"{what} is not told").to_be_visible()
        assert _typed(visitor) == typed, f"{what} lost what was typed"
        if trouble.retry_after is not None:
            _sees_the_wait(visitor, trouble.retry_after)
            visitor.page.clock.run_for(1000 * trouble.retry_after + 1000)


def _sign_in_again(visitor: Visitor, call: Call, road: Road, token: str) -> None:
    if not call.needs_token:
        return
    road.block(SIGNED_OUT)
    call.act(visitor)
    expect(visitor.dialog("Sign in"), f"{call.name} doesn't ask for a token").to_be_visible()
    road.open()
    visitor.sign_in(token)


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
    ("view", "path", "shown", "button", "troubles"),
    [
        ("history", "/api/generations/", TEXT, f"Delete: {TEXT}", TROUBLES[::2]),
        ("voices", "/api/voices/", "Anna", "Delete Anna", TROUBLES[1::2]),
    ],
    ids=["history", "voices"],
)
def test_what_could_not_be_deleted_is_back(
    modal: Stage,
    visits: Visits,
    view: str,
    path: str,
    shown: str,
    button: str,
    troubles: tuple[Trouble, ...],
) -> None:
    """The request leaves after the time for second thoughts; when it fails, the entry returns, and the page
    says why. Every way to fail has its turn, in one of the views."""
    modal.spoken(TEXT)
    visitor = visits(modal)
    visitor.watch.expect(*STATUSES)
    visitor.watch.expect_no_answer()
    visitor.page.clock.install()
    road = Road(visitor.page, "DELETE", path)
    visitor.open(view)
    delete = visitor.main.get_by_role("button", name=button)

    for trouble in troubles:
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
