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
from tests.browser.states import STATES, State
from tests.browser.visitor import PHONE, PICTURE, Visitor

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

PICTURES = Path(__file__).parents[2] / "docs/images/page"


#: Of the rest, a picture would show nothing new.
IN_DARK = {"speak-local", "jobs-running", "player", "clone"}
ON_A_PHONE = {"speak-local", "jobs-running", "player", "history", "unreachable", "design"}


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


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_state_has_no_violation_of_accessibility(
    stages: Callable[[str], Stage], visits: Visits, state: State
) -> None:
    """axe finds nothing, of any impact: in light and in dark, in a wide window and on a phone."""
    stage = stages(state.mode)
    stage.new_owner()
    visitor = visits(stage)
    page = visitor.page
    try:
        state.reach(stage, visitor)
        found = violations(page)
        picture(visitor, state.name, PICTURE)
        page.emulate_media(color_scheme="dark")
        found += violations(page, COLOURS)
        if state.name in IN_DARK:
            picture(visitor, f"{state.name}-dark", PICTURE)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(PHONE)
        found += violations(page)
        if state.name in ON_A_PHONE:
            picture(visitor, f"{state.name}-phone", PHONE)
    finally:
        stage.vendor.release()

    assert found == []
