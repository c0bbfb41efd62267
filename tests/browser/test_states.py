"""Every state of the page, in light and dark, wide and narrow: accessible, and drawn if asked for.

``make screenshots`` (``TTSORCH_SCREENSHOTS=1``) writes the pictures of ``docs/the-page.md``.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.axe import COLOURS, violations
from tests.browser.chromium import CHROMIUM, MISSING
from tests.browser.conftest import Visits
from tests.browser.stages import Stage
from tests.browser.states import STATES, State
from tests.browser.visitor import DESKTOP, PHONE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

PICTURES = Path(__file__).parents[2] / "docs/images/page"


def picture(page: Page, name: str) -> None:
    """Only when somebody asked: a test run leaves the tree as it is."""
    if os.environ.get("TTSORCH_SCREENSHOTS") == "1":
        PICTURES.mkdir(parents=True, exist_ok=True)
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
        picture(page, state.name)
        page.emulate_media(color_scheme="dark")
        found += violations(page, COLOURS)
        picture(page, f"{state.name}-dark")
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="light")
        found += violations(page)
        picture(page, f"{state.name}-phone")
        page.set_viewport_size(DESKTOP)
    finally:
        stage.vendor.release()

    assert found == []
