"""What query strings are read as, where that is not shown by a route's own tests."""

import pytest

from ttsorch.contract.query import cursor


@pytest.mark.parametrize("before", ["", "yesterday", "2026-01-01T00:00:00Z_\0", "2026-01-01_a\0b"])
def test_a_cursor_that_no_database_can_be_asked_for_is_the_start(before: str) -> None:
    """C8: junk is ignored; PostgreSQL takes no NUL, so a cursor with one is junk."""
    assert cursor({"before": before}) is None
