"""Fixtures for a store on a clock that stands still until a test moves it."""

import pytest

from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store_jobs import Advance

__all__ = ["advance", "clock"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def advance(clock: ManualClock) -> Advance:
    async def move(seconds: float) -> None:
        clock.advance(seconds)

    return move
