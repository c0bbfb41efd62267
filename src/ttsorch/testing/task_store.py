"""What every task store must pass. A backend's author subclasses :class:`TaskStoreSuite`::

    class TestMyTaskStore(TaskStoreSuite):
        @pytest.fixture
        async def store(self):
            store = await MyTaskStore.open(...)
            yield store
            await store.aclose()

        @pytest.fixture
        def advance(self):
            return anyio.sleep  # or move the clock that the database was given

Each test begins with an empty store. ``advance(seconds)`` makes the database's clock move; the suite asks
for little of it, so that a real database may really wait. The suite runs on each event loop that the
fixture ``anyio_backend`` of anyio's pytest plugin names.

A store whose rows somebody else can write also passes
:class:`~ttsorch.testing.task_store_unreadable.UnreadableRowsSuite`.
"""

import anyio
import pytest

from ttsorch.errors import StorageUnavailable
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_create import CreateCases
from ttsorch.testing.task_store_effects import EffectCases
from ttsorch.testing.task_store_history import HistoryCases
from ttsorch.testing.task_store_jobs import ANNA, new_job, race, stored
from ttsorch.testing.task_store_leases import LeaseCases
from ttsorch.testing.task_store_owner_purges import OwnerPurgeCases
from ttsorch.testing.task_store_pauses import PauseCases
from ttsorch.testing.task_store_purges import PurgeCases
from ttsorch.testing.task_store_replace import ReplaceCases
from ttsorch.testing.task_store_rows import RowCases


class TaskStoreSuite(
    CreateCases,
    RowCases,
    ReplaceCases,
    LeaseCases,
    PauseCases,
    HistoryCases,
    EffectCases,
    PurgeCases,
    OwnerPurgeCases,
):
    """Supply the fixtures ``store`` and ``advance``."""

    pytestmark = pytest.mark.anyio

    async def test_now_is_in_utc(self, store: TaskStore) -> None:
        """The database's clock is timezone-aware, in UTC, and does not run backwards."""
        first, second = store.now(), store.now()
        offset = first.utcoffset()
        assert offset is not None
        assert not offset
        assert first <= second

    async def test_a_cancelled_call_leaves_the_store_healthy(self, store: TaskStore) -> None:
        """Whether a cancelled write happened is unknown; the calls after it are served as ever."""
        job = await stored(store, new_job(store.now()))
        other = new_job(store.now())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.create(other.task, other.generation)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.get(ANNA, job.task.id)
        assert (await store.create(other.task, other.generation)).task == other.task
        assert await store.get(ANNA, job.task.id) == job

    async def test_aclose_twice(self, store: TaskStore) -> None:
        """Closing again, or from two tasks at once, is harmless."""
        await race(lambda _: store.aclose(), 2)
        await store.aclose()

    async def test_use_after_aclose_is_refused(self, store: TaskStore) -> None:
        """After aclose every call raises StorageUnavailable, code store_closed."""
        job = await stored(store, new_job(store.now()))
        await store.aclose()
        with pytest.raises(StorageUnavailable) as reading:
            await store.get(ANNA, job.task.id)
        with pytest.raises(StorageUnavailable) as writing:
            await store.record_poll(ANNA, job.task.id)
        assert (reading.value.code, writing.value.code) == ("store_closed", "store_closed")
