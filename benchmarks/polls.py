"""What one poll costs: ``poll_once`` over SQLite, with its durable write, against clients that store nothing
or write by hand. All of them ask the same fake vendor.

P1: against one ``UPDATE ... RETURNING`` (committed to the disk) and one bare ``httpx`` GET. P2: against
Replicate's own client, which stores nothing. P3: the same with 64 polls in flight.
"""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TypeAlias

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import (
    Effort,
    Measure,
    cpu_per_call,
    median,
    ratio,
    repeat,
    take_turns,
    wall_per_call,
)
from benchmarks.pollers import OWNER, Poll, against_replicate, polling, replicate_poll
from benchmarks.vendor import vendor
from ttsorch.store.sqlite import SqliteTaskStore

Clock: TypeAlias = Callable[[int, Callable[[int], object]], float]

_CALLS = 100

_COUNT_POLL = (
    "UPDATE tasks SET poll_count = poll_count + 1"
    " WHERE id = ? AND owner = ? AND deleted_at IS NULL AND active = 1 RETURNING *"
)


def run(effort: Effort) -> Iterator[Finding]:
    with (
        vendor() as url,
        tempfile.TemporaryDirectory() as folder,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_polls(url, Path(folder))) as polls,
    ):
        yield from _one_in_flight(portal, polls, effort)
        what = "calls/s of poll_once / replicate, 64 in flight"
        both = {name: polls[name] for name in ("poll_once", "replicate")}
        yield against_replicate("P3", what, 3.0, portal, both, effort)


def _one_in_flight(
    portal: BlockingPortal, polls: Mapping[str, Poll], effort: Effort
) -> Iterator[Finding]:
    clocks: Mapping[str, Clock] = {"CPU": cpu_per_call, "wall": wall_per_call}
    for clock_name, clock in clocks.items():

        def measure(poll: Poll, clock: Clock = clock) -> float:
            calls = effort.calls(_CALLS)
            return clock(calls, lambda count: portal.call(repeat, count, partial(poll, 0)))

        turns: Mapping[str, Measure] = {
            name: partial(measure, poll) for name, poll in polls.items()
        }
        costs = take_turns(turns, effort.rounds)
        note = ", ".join(f"{name} {median(costs[name]).value * 1e6:.0f} us" for name in polls)
        inline, others = ratio(costs, "poll_once", "inline"), ratio(costs, "poll_once", "replicate")
        yield Finding(
            "P1", f"poll_once / UPDATE and GET by hand, {clock_name}", inline, Bar(1.25), note=note
        )
        yield Finding(
            "P2", f"poll_once / replicate async_get, {clock_name}", others, Bar(1.15), note=note
        )


@asynccontextmanager
async def _polls(url: str, folder: Path) -> AsyncIterator[Mapping[str, Poll]]:
    file = folder / "tasks.db"
    store = await SqliteTaskStore.open(file)
    with closing(_durable(file)) as connection:
        async with httpx.AsyncClient() as client, polling(url, store) as (poll_once, jobs):

            async def inline(number: int) -> object:
                task = jobs[number].task
                row = connection.execute(_COUNT_POLL, (task.id, OWNER)).fetchone()
                ticket = {name: str(value) for name, value in (task.ticket or {}).items()}
                reply = await client.get(f"{url}/status", params=ticket)
                return row, reply.json()

            yield {"poll_once": poll_once, "inline": inline, "replicate": replicate_poll(url)}
    await store.aclose()


def _durable(file: Path) -> sqlite3.Connection:
    """Commits each statement to the disk, as the store does."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
