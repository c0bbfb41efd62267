"""P11: 64 writers at once, each waiting until its write is on the disk. The store commits for all that wait
in one transaction; by hand, each statement is a commit of its own on one connection."""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import anyio
from anyio.from_thread import start_blocking_portal

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, Measure, median, ratio, take_turns, wall_per_call
from benchmarks.rows import a_running_job
from ttsorch.store.sqlite import SqliteTaskStore

_OWNER = "ann"
_IN_FLIGHT = 64
_CALLS = 20 * _IN_FLIGHT
_COUNT_POLL = "UPDATE tasks SET poll_count = poll_count + 1 WHERE id = ? AND owner = ? RETURNING *"


def run(effort: Effort) -> Iterator[Finding]:
    calls = effort.calls(_CALLS, least=_IN_FLIGHT)
    with (
        tempfile.TemporaryDirectory() as folder,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_store(Path(folder) / "tasks.db")) as (store, ids),
        closing(sqlite3.connect(Path(folder) / "tasks.db", isolation_level=None)) as connection,
    ):
        connection.execute("PRAGMA synchronous = FULL")
        turns: Mapping[str, Measure] = {
            "grouped": lambda: wall_per_call(
                calls, lambda count: portal.call(_at_once, store, ids, count)
            ),
            "each": partial(wall_per_call, calls, partial(_each, connection, ids)),
        }
        costs = take_turns(turns, effort.rounds)
    note = ", ".join(f"{name} {1 / median(costs[name]).value:.0f}/s" for name in turns)
    what = "record_poll, 64 at once / a commit per call"
    yield Finding("P11", what, ratio(costs, "grouped", "each"), Bar(0.25), note=note)


async def _at_once(store: SqliteTaskStore, ids: Sequence[str], calls: int) -> None:
    async def worker(task_id: str) -> None:
        for _ in range(-(-calls // _IN_FLIGHT)):
            await store.record_poll(_OWNER, task_id)

    async with anyio.create_task_group() as group:
        for task_id in ids:
            group.start_soon(worker, task_id)


def _each(connection: sqlite3.Connection, ids: Sequence[str], calls: int) -> None:
    for number in range(calls):
        task_id = ids[number % len(ids)]
        connection.execute(_COUNT_POLL, (task_id, _OWNER)).fetchall()


@asynccontextmanager
async def _store(file: Path) -> AsyncIterator[tuple[SqliteTaskStore, Sequence[str]]]:
    store = await SqliteTaskStore.open(file)
    jobs = [a_running_job(_OWNER, "fake", {}) for _ in range(_IN_FLIGHT)]
    for job in jobs:
        await store.create(job.task, job.generation)
    yield store, [job.task.id for job in jobs]
    await store.aclose()
