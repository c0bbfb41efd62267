"""Any person and any window: owners apart, small screens, keyboards alone, less motion, a first visit."""

import re
from functools import partial

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.fingers import Fingers
from tests.browser.stages import Stage
from tests.browser.trouble import Gate
from tests.browser.visitor import PHONE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TEXT = "What nobody else should read."
#: That a browser opens to one server.
CONNECTIONS = 6
#: In bytes, of everything that is fetched before somebody can write.
MOST_OF_A_FIRST_LOAD = 150_000

_WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifts.push(entry.value);
}).observe({ type: "layout-shift", buffered: true });
"""
_TWO_FRAMES = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
)
_MOVING = """() => document.getAnimations()
  .filter((each) => each.effect.getComputedTiming().duration > 10)
  .map((each) => each.animationName ?? each.transitionProperty)"""
_WIDER_THAN_THE_WINDOW = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 80))"""


def test_two_owners_see_nothing_of_each_other(modal: Stage, visits: Visits) -> None:
    """Neither jobs nor history nor voices, at the same server at the same time."""
    modal.clone("Annas other voice")
    modal.spoken("Annas old text")
    anna = visits(modal).open()
    modal.vendor.hold()
    anna.speak(TEXT)
    expect(anna.cancel_button(TEXT)).to_be_visible()

    modal.new_owner()
    berta = visits(modal).open()

    expect(berta.jobs).to_be_hidden()
    berta.voice.click()
    expect(berta.options()).to_have_count(1)
    berta.voice.press("Escape")
    berta.go("History")
    expect(berta.main).to_contain_text("Nothing here yet")
    berta.go("Voices")
    expect(berta.voices.locator("> *")).to_have_count(1)


def test_signing_out_leaves_nothing_to_the_next_person(modal: Stage, visits: Visits) -> None:
    """Not the draft, not the jobs, not the history; and a token that is wrong is refused in words."""
    modal.spoken("Annas old text")
    visitor = visits(modal).open()
    visitor.text.fill(TEXT)
    visitor.watch.expect(401)

    visitor.page.get_by_role("button", name="Sign out").click()
    dialog = visitor.dialog("Sign in")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Token").fill("a-wrong-one")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog).to_contain_text("isn’t valid")
    modal.new_owner()
    visitor.sign_in(modal.token)

    visitor.ready()
    expect(visitor.text).to_have_value("")
    visitor.go("History")
    expect(visitor.main).to_contain_text("Nothing here yet")


def test_a_phone_shows_everything_without_scrolling_sideways(modal: Stage, visits: Visits) -> None:
    """At 360 by 740, with a job, a player, and words longer than the screen, in every view."""
    word = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    modal.spoken(word)
    modal.clone("A" * 90)
    visitor = visits(modal, size=PHONE)
    modal.vendor.hold()
    modal.speak(word + "!")
    visitor.open("history")
    visitor.act("Play", word).click()
    expect(visitor.player).to_be_visible()
    expect(visitor.jobs).to_be_visible()

    for view in ("History", "Voices", "Speak"):
        visitor.go(view)
        expect(visitor.page).to_have_title(f"(1) {view} – ttsorch")
        assert visitor.page.evaluate(_WIDER_THAN_THE_WINDOW) == [], view
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_whole_way_with_the_keyboard_alone(modal: Stage, visits: Visits) -> None:
    """From the skip link to the player's slider: everything is reached with Tab, and one always sees where
    one is."""
    visitor = visits(modal).open()
    fingers = Fingers(visitor.page)

    fingers.tab_to("Skip to content")
    fingers.press("Enter")
    fingers.tab_to("Text")
    fingers.type(TEXT)
    fingers.tab_to("Voice")
    fingers.press("ArrowDown")
    expect(visitor.options().first).to_be_visible()
    fingers.press("Enter")
    fingers.tab_to("Language")
    fingers.press("ArrowDown")
    fingers.tab_to("Speak")
    modal.vendor.hold()
    fingers.press("Enter")
    expect(visitor.cancel_button(TEXT)).to_be_visible()
    fingers.tab_to(f"Cancel: {TEXT}")
    fingers.press("Enter")
    expect(visitor.jobs).to_be_hidden()
    fingers.keep()
    modal.vendor.release()
    fingers.tab_to("Text")
    fingers.press("Control+Enter")
    expect(visitor.player).to_contain_text(TEXT)
    fingers.tab_to("Position")
    fingers.press("End")
    fingers.press("Home")
    expect(visitor.position).to_have_attribute("aria-valuetext", "0:00 of 0:03")
    fingers.press("End")
    expect(visitor.position).to_have_attribute("aria-valuetext", "0:03 of 0:03")
    fingers.tab_to("Close player")
    fingers.press("Enter")
    expect(visitor.player).to_be_hidden()
    fingers.keep()
    fingers.tab_to("History", role="link")
    fingers.press("Enter")
    expect(visitor.entries()).to_have_count(2)
    fingers.tab_to(f"Delete: {TEXT}")
    fingers.press("Enter")
    expect(visitor.entries()).to_have_count(1)
    fingers.keep()
    fingers.tab_to("Undo")
    fingers.press("Enter")
    expect(visitor.entries()).to_have_count(2)
    fingers.keep()
    fingers.tab_to("Voices", role="link")
    fingers.press("Enter")
    expect(visitor.page).to_have_title("Voices – ttsorch")
    fingers.tab_to("Clone a voice")
    fingers.press("Enter")
    expect(visitor.dialog("Clone a voice")).to_be_visible()
    fingers.tab_to("Recording")
    fingers.press("Escape")
    expect(visitor.dialog("Clone a voice")).to_be_hidden()
    assert fingers.where()["name"] == "Clone a voice"


def test_nobody_who_minds_motion_is_shown_any(modal: Stage, visits: Visits) -> None:
    """With less motion asked for, nothing is animated, not even while a job runs."""
    visitor = visits(modal)
    visitor.page.emulate_media(reduced_motion="reduce")
    visitor.open()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()

    moving = visitor.page.evaluate(_MOVING)
    assert moving == []


def test_polling_moves_nothing(modal: Stage, visits: Visits) -> None:
    """While a job goes on and its seconds count up, no pixel changes its place."""
    visitor = visits(modal)
    visitor.page.clock.install()
    visitor.page.add_init_script(_WATCH_SHIFTS)
    visitor.open()
    modal.vendor.hold()
    visitor.speak(TEXT)
    expect(visitor.cancel_button(TEXT)).to_be_visible()
    # What the click itself moved is forgiven.
    visitor.page.evaluate(_TWO_FRAMES)
    visitor.page.evaluate("() => { window.shifts.length = 0; }")

    for _ in range(4):
        with visitor.page.expect_response(re.compile("/api/tasks/[^/?]+$")):
            visitor.page.clock.run_for(5_500)
    visitor.page.evaluate(_TWO_FRAMES)

    assert visitor.page.evaluate("window.shifts") == []


def test_a_first_visit_is_light(open_house: Stage, visits: Visits) -> None:
    """Everything together is under 150 KB, headers and the catalog of more than a hundred voices too."""
    visitor = visits(open_house)
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))

    visitor.open()

    assert 10_000 < sum(sizes) < MOST_OF_A_FIRST_LOAD


def test_a_first_visit_asks_in_three_waves(open_house: Stage, visits: Visits) -> None:
    """For the page; then for all its parts; then for all that it wants to know, and nothing waits for the
    answer to something else. A browser has six connections to a server, and so the page is there after four
    round trips, however long they are."""
    visitor = visits(open_house)
    gates = {kind: Gate(visitor.page, f"**/{kind}/**") for kind in ("static", "api")}

    visitor.page.goto(open_house.address, wait_until="commit")
    *parts, icon = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.page.content())
    gates["static"].wait_for(len(parts))
    assert gates["api"].asked == []
    gates["static"].open()
    gates["api"].wait_for(4)
    assert sorted(gates["api"].asked) == [
        "/api/languages",
        "/api/tasks?status=active&limit=50",
        "/api/voices?page=1&per_page=100",
        "/api/voices?page=2&per_page=100",
    ]
    gates["api"].open()
    visitor.ready()

    assert set(gates["static"].asked) == {*parts, icon}
    assert len(gates["api"].asked) == 4
    assert len(parts) + 4 <= 3 * CONNECTIONS


def test_nobody_is_refused_before_signing_in(modal: Stage, visits: Visits) -> None:
    """Where the page says that a token is wanted, only what everybody may know is asked without one; the rest
    follows by itself."""
    visitor = visits(modal)
    asked = Gate(visitor.page, "**/api/**").open().asked

    visitor.page.goto(modal.address)
    expect(visitor.dialog("Sign in")).to_be_visible()
    visitor.page.evaluate(_TWO_FRAMES)
    assert asked == ["/api/languages"]
    visitor.sign_in(modal.token)

    visitor.ready()
    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_visible()


def _refuse(sentence: str, route: Route) -> None:
    route.fulfill(status=500, json={"detail": sentence})


def test_failures_are_folded_and_cover_nothing(modal: Stage, visits: Visits) -> None:
    """On a phone, with a player and three jobs that can't be cancelled: one failure is shown, how many wait
    behind it, and everything on the page can be pressed all the same."""
    modal.spoken(TEXT)
    texts = [f"{TEXT} {number}" for number in range(3)]
    visitor = visits(modal, size=PHONE).open("history")
    visitor.act("Play", TEXT).click()
    visitor.go("Speak")
    modal.vendor.hold()
    visitor.watch.expect(500)
    for text in texts:
        visitor.speak(text)
        expect(visitor.cancel_button(text)).to_be_visible()
        visitor.page.route("**/cancel", partial(_refuse, text), times=1)
        visitor.cancel_button(text).click()
        expect(visitor.messages).to_contain_text(text)

    shown = visitor.messages.get_by_role("alert").filter(visible=True)
    expect(shown).to_have_count(1)
    expect(shown).to_contain_text("and 2 more")
    for control in (
        visitor.main.locator("button, input, select, textarea").filter(visible=True).all()
    ):
        control.click(trial=True)
    shown.get_by_role("button", name="Dismiss").click()
    expect(shown).to_contain_text(texts[1])
    expect(shown).to_contain_text("and 1 more")
    visitor.dismiss_everything()
    expect(visitor.messages.get_by_role("alert")).to_have_count(0)


def test_a_server_without_tokens_asks_for_none(open_house: Stage, visits: Visits) -> None:
    """On one's own machine there is nothing to sign in to, and nothing to sign out of."""
    visitor = visits(open_house).open()

    expect(visitor.page.get_by_role("button", name="Sign out")).to_be_hidden()
    visitor.speak("Nobody asked who I am.")
    expect(visitor.player).to_contain_text("Nobody asked who I am.")
