"""A store on a clock that stands still until a test moves it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.standing_clock import advance, clock
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock

__all__ = ["advance", "clock"]


@pytest.fixture
async def memory_store(clock: ManualClock) -> MemoryTaskStore:
    return MemoryTaskStore(clock=clock)


@pytest.fixture
async def sqlite_store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteTaskStore]:
    store = await SqliteTaskStore.open(tmp_path / "tasks.db", clock=clock)
    yield store
    await store.aclose()
