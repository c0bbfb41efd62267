"""One commit for all calls that wait, none of which can harm the others."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from ttsorch.errors import ActiveJobLimit, StorageUnavailable, TtsorchError
from ttsorch.models import Limits
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.task_store_jobs import ANNA, BEN, new_job, race, running, stored

pytestmark = pytest.mark.anyio


class _Gate:
    """Keeps the writer inside a call until it is told to leave."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def wait(self, _: sqlite3.Connection) -> None:
        self.entered.set()
        self.leave.wait()


@asynccontextmanager
async def _held_up(store: SqliteTaskStore) -> AsyncIterator[anyio.abc.TaskGroup]:
    """Calls that are started in here all wait, and go into one batch at the end."""
    gate = _Gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store._writer.run, gate.wait)
        await anyio.to_thread.run_sync(gate.entered.wait)
        try:
            yield tasks
            await anyio.wait_all_tasks_blocked()
        finally:
            gate.leave.set()


async def _together(
    store: SqliteTaskStore, calls: list[Callable[[], Awaitable[object]]]
) -> list[object]:
    """Make the calls in one batch; what each returned, or the error of ours that it raised."""
    outcomes: list[object] = [None] * len(calls)

    async def make(number: int) -> None:
        try:
            outcomes[number] = await calls[number]()
        except TtsorchError as error:
            outcomes[number] = error

    async with _held_up(store) as tasks:
        for number in range(len(calls)):
            tasks.start_soon(make, number)
            await anyio.wait_all_tasks_blocked()  # queued, before the next one
    return outcomes


def _roll_back_everything(db: sqlite3.Connection) -> None:
    db.execute("INSERT OR ROLLBACK INTO tasks (id) VALUES ('without the rest')")


def _break_the_commit(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE notes (id TEXT PRIMARY KEY, about TEXT REFERENCES notes (id))")
    db.execute("PRAGMA defer_foreign_keys = ON")
    db.execute("INSERT INTO notes VALUES ('n', 'missing')")


async def test_waiting_calls_share_a_commit(sqlite_store: SqliteTaskStore) -> None:
    """Calls that queued up while the writer was busy are committed at once, in their order."""
    trace: list[str] = []
    jobs = [new_job(sqlite_store.now()) for _ in range(10)]
    await sqlite_store._writer.run(lambda db: db.set_trace_callback(trace.append))
    await _together(
        sqlite_store, [partial(sqlite_store.create, job.task, job.generation) for job in jobs]
    )
    commits = [statement for statement in trace if statement.startswith("COMMIT")]
    assert len(commits) == 2 + 1  # of the trace itself, of what held the writer up, of all ten
    assert len(await sqlite_store.list_tasks(ANNA)) == 10


async def test_a_failing_call_takes_nothing_with_it(sqlite_store: SqliteTaskStore) -> None:
    """Of a batch the calls that fail, for whichever reason, fail alone and leave no trace."""
    jobs = [new_job(sqlite_store.now(), owner=BEN) for _ in range(9)]
    twin = new_job(sqlite_store.now(), owner=BEN, generation_id=jobs[0].task.generation_id)
    capped = new_job(sqlite_store.now(), owner=BEN)
    create = sqlite_store.create
    outcomes = await _together(
        sqlite_store,
        [
            *[partial(create, job.task, job.generation) for job in jobs[:5]],
            partial(create, twin.task, twin.generation),
            partial(create, capped.task, capped.generation, limits=Limits(active_per_owner=5)),
            *[partial(create, job.task, job.generation) for job in jobs[5:]],
        ],
    )
    assert outcomes[:5] + outcomes[7:] == jobs
    assert isinstance(outcomes[5], StorageUnavailable)
    assert isinstance(outcomes[6], ActiveJobLimit)
    listed = await sqlite_store.list_tasks(BEN)
    assert {job.task.id for job in listed} == {job.task.id for job in jobs}


@pytest.mark.parametrize("spoil", [_roll_back_everything, _break_the_commit])
async def test_a_lost_transaction_fails_all_its_calls(
    sqlite_store: SqliteTaskStore, spoil: Callable[[sqlite3.Connection], None]
) -> None:
    """When the transaction as a whole is lost nobody is told that his write is there; the next works."""
    jobs = [new_job(sqlite_store.now()) for _ in range(2)]
    first, last = (partial(sqlite_store.create, job.task, job.generation) for job in jobs)
    outcomes = await _together(
        sqlite_store, [first, partial(sqlite_store._writer.run, spoil), last]
    )
    for outcome in outcomes:
        assert isinstance(outcome, StorageUnavailable)
        assert isinstance(outcome.__cause__, sqlite3.IntegrityError)
    assert await sqlite_store.list_tasks(ANNA) == []
    assert [await first(), await last()] == jobs


async def test_a_cancelled_write_still_happens(sqlite_store: SqliteTaskStore) -> None:
    """A write whose caller was cancelled while it waited in the queue is carried out all the same."""
    job = new_job(sqlite_store.now())
    async with _held_up(sqlite_store) as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(_cancel_when_all_wait, scope)
            await sqlite_store.create(job.task, job.generation)
        assert scope.cancelled_caught
    assert await sqlite_store.create(job.task, job.generation) == job
    assert await sqlite_store.get(ANNA, job.task.id) == job


async def _cancel_when_all_wait(scope: anyio.CancelScope) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()


async def test_cancelled_neighbours_disturb_nobody(sqlite_store: SqliteTaskStore) -> None:
    """Of polls in flight any may be cancelled at any moment; the others are all counted and answered."""
    job = await stored(sqlite_store, new_job(sqlite_store.now()), running)
    scopes = [anyio.CancelScope() for _ in range(60)]

    async def poll(number: int) -> int:
        with scopes[number]:
            for other in range(number, 60, 7):
                if number % 3 == 0 and other != number:
                    scopes[other].cancel()
            answer = await sqlite_store.record_poll(ANNA, job.task.id)
            return answer.task.poll_count if answer else 0
        return 0

    counts = [count for count in await race(poll, 60) if count]
    assert len(counts) == len(set(counts))
    after = await sqlite_store.record_poll(ANNA, job.task.id)
    assert after is not None
    assert len(counts) < after.task.poll_count <= 61


def test_an_event_loop_that_ended_is_not_missed(tmp_path: Path, anyio_backend: str) -> None:
    """When a caller's event loop is gone before its answer comes, the store serves on."""
    gate = _Gate()
    store = anyio.run(SqliteTaskStore.open, tmp_path / "tasks.db", backend=anyio_backend)
    job = new_job(store.now())

    async def leave_early() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store._writer.run, gate.wait)
            await anyio.to_thread.run_sync(gate.entered.wait)
            tasks.start_soon(store.create, job.task, job.generation)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    anyio.run(leave_early, backend=anyio_backend)
    gate.leave.set()
    assert anyio.run(store.create, job.task, job.generation, backend=anyio_backend) == job
    anyio.run(store.aclose, backend=anyio_backend)


def test_event_loops_of_both_kinds_share_a_store(tmp_path: Path) -> None:
    """An asyncio and a trio loop, in threads of their own, use one store at once."""
    store = anyio.run(SqliteTaskStore.open, tmp_path / "tasks.db")
    job = anyio.run(partial(stored, store, new_job(store.now()), running))
    counts: list[int] = []

    async def poll(_: int) -> None:
        answer = await store.record_poll(ANNA, job.task.id)
        assert answer is not None
        counts.append(answer.task.poll_count)

    threads = [
        threading.Thread(target=lambda name=name: anyio.run(race, poll, 100, backend=name))
        for name in ("asyncio", "trio")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    anyio.run(store.aclose)
    assert sorted(counts) == list(range(1, 201))
