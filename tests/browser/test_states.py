"""Every state of the page, in light and dark, wide and narrow: accessible, and drawn if asked for.

``make screenshots`` (``TTSORCH_SCREENSHOTS=1``) writes the pictures of ``docs/the-page.md``.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize

from tests.browser.axe import COLOURS, violations
from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import Stage
from tests.browser.states import WALKS, Walk
from tests.browser.visitor import DESKTOP, PHONE, PICTURE, Visitor

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

PICTURES = Path(__file__).parents[2] / "docs/images/page"


#: Of the rest, a picture would show nothing new.
IN_DARK = {"speak-local", "jobs-running", "player", "clone"}
ON_A_PHONE = {
    "speak-local",
    "jobs-running",
    "several-failures",
    "player",
    "history",
    "unreachable",
    "design",
}
_SOME, _ALL = "some", "all"


def picture(visitor: Visitor, name: str, size: ViewportSize) -> None:
    """Only when somebody asked: a test run leaves the tree as it is."""
    if os.environ.get("TTSORCH_SCREENSHOTS") != "1":
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    page = visitor.page
    page.set_viewport_size(size)
    page.mouse.move(0, 0)
    # In a narrow window what matters may be further down.
    if visitor.jobs.is_visible():
        visitor.jobs.scroll_into_view_if_needed()
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


@pytest.mark.parametrize("narrow", [_SOME, pytest.param(_ALL, marks=pytest.mark.deep)])
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_no_state_has_a_violation_of_accessibility(
    stages: Callable[[str], Stage], visits: Visits, walk: Walk, narrow: str
) -> None:
    """axe finds nothing, of any impact: in light, and in dark, and on a phone where the state is another one
    there; all of them on a phone are a longer proof."""
    stage = stages(walk.mode)
    stage.new_owner()
    visitor = visits(stage)
    found: list[str] = []
    try:
        for state in walk.states:
            state.reach(stage, visitor)
            on_a_phone = narrow == _ALL or state.name in ON_A_PHONE
            seen = look_at(visitor, state.name, on_a_phone=on_a_phone)
            found += [f"{state.name}: {violation}" for violation in seen]
    finally:
        stage.vendor.release()

    assert found == []


def look_at(visitor: Visitor, name: str, *, on_a_phone: bool) -> list[str]:
    """What is wrong with the page as it is now; it is drawn on the way."""
    page = visitor.page
    found = violations(page)
    picture(visitor, name, PICTURE)
    page.emulate_media(color_scheme="dark")
    found += violations(page, COLOURS)
    if name in IN_DARK:
        picture(visitor, f"{name}-dark", PICTURE)
    page.emulate_media(color_scheme="light")
    if on_a_phone:
        page.set_viewport_size(PHONE)
        found += violations(page)
        if name in ON_A_PHONE:
            picture(visitor, f"{name}-phone", PHONE)
    page.set_viewport_size(DESKTOP)
    return found
