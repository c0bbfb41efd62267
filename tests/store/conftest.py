"""A store on a clock that stands still until a test moves it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store_jobs import Advance


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def advance(clock: ManualClock) -> Advance:
    async def move(seconds: float) -> None:
        clock.advance(seconds)

    return move


@pytest.fixture
async def memory_store(clock: ManualClock) -> MemoryTaskStore:
    return MemoryTaskStore(clock=clock)


@pytest.fixture
async def sqlite_store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteTaskStore]:
    store = await SqliteTaskStore.open(tmp_path / "tasks.db", clock=clock)
    yield store
    await store.aclose()
