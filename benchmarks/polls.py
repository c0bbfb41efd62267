"""What one poll costs: ``poll_once`` over SQLite, with its durable write, against clients that store nothing
or write by hand. All of them ask the same fake vendor.

P1: against one ``UPDATE ... RETURNING`` (committed to the disk) and one bare ``httpx`` GET. P2: against
Replicate's own client, which stores nothing. P3: the same with 64 polls in flight.
"""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from replicate.client import Client

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
from benchmarks.rows import a_running_job
from benchmarks.vendor import vendor
from ttsorch.orchestrator import Orchestrator
from ttsorch.providers.modal import ModalProvider
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.sqlite import SqliteTaskStore

Poll: TypeAlias = Callable[[int], Awaitable[object]]
Clock: TypeAlias = Callable[[int, Callable[[int], object]], float]

_OWNER = "ann"
_IN_FLIGHT = 64
_CALLS = 100
_CALLS_AT_ONCE = 10 * _IN_FLIGHT

_COUNT_POLL = (
    "UPDATE tasks SET poll_count = poll_count + 1"
    " WHERE id = ? AND owner = ? AND deleted_at IS NULL AND active = 1 RETURNING *"
)


@dataclass(frozen=True, slots=True)
class _Pollers:
    """Each polls the task or the prediction of that number."""

    poll_once: Poll
    inline: Poll
    replicate: Poll


def run(effort: Effort) -> Iterator[Finding]:
    with (
        vendor() as url,
        tempfile.TemporaryDirectory() as folder,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_pollers(url, Path(folder))) as pollers,
    ):
        yield from _one_in_flight(portal, pollers, effort)
        yield from _many_in_flight(portal, pollers, effort)


def _one_in_flight(portal: BlockingPortal, pollers: _Pollers, effort: Effort) -> Iterator[Finding]:
    variants = {
        "poll_once": pollers.poll_once,
        "inline": pollers.inline,
        "replicate": pollers.replicate,
    }
    clocks: Mapping[str, Clock] = {"CPU": cpu_per_call, "wall": wall_per_call}
    for clock_name, clock in clocks.items():

        def measure(poll: Poll, clock: Clock = clock) -> float:
            calls = effort.calls(_CALLS)
            return clock(calls, lambda count: portal.call(repeat, count, partial(poll, 0)))

        turns: Mapping[str, Measure] = {
            name: partial(measure, poll) for name, poll in variants.items()
        }
        costs = take_turns(turns, effort.rounds)
        note = ", ".join(f"{name} {median(costs[name]).value * 1e6:.0f} us" for name in variants)
        inline, others = ratio(costs, "poll_once", "inline"), ratio(costs, "poll_once", "replicate")
        yield Finding(
            "P1", f"poll_once / UPDATE and GET by hand, {clock_name}", inline, Bar(1.25), note=note
        )
        yield Finding(
            "P2", f"poll_once / replicate async_get, {clock_name}", others, Bar(1.15), note=note
        )


def _many_in_flight(portal: BlockingPortal, pollers: _Pollers, effort: Effort) -> Iterator[Finding]:
    calls = effort.calls(_CALLS_AT_ONCE, least=_IN_FLIGHT)

    def measure(poll: Poll) -> float:
        return wall_per_call(calls, lambda count: portal.call(_at_once, count, poll))

    turns = {
        "poll_once": partial(measure, pollers.poll_once),
        "replicate": partial(measure, pollers.replicate),
    }
    costs = take_turns(turns, effort.rounds)
    note = ", ".join(f"{name} {1 / median(costs[name]).value:.0f}/s" for name in turns)
    figure = ratio(costs, "replicate", "poll_once")
    yield Finding(
        "P3",
        "calls/s of poll_once / replicate, 64 in flight",
        figure,
        Bar(3.0, at_least=True),
        note=note,
    )


async def _at_once(calls: int, poll: Poll) -> None:
    async def worker(number: int) -> None:
        for _ in range(-(-calls // _IN_FLIGHT)):
            await poll(number)

    async with anyio.create_task_group() as group:
        for number in range(_IN_FLIGHT):
            group.start_soon(worker, number)


@asynccontextmanager
async def _pollers(url: str, folder: Path) -> AsyncIterator[_Pollers]:
    file = folder / "tasks.db"
    provider = ModalProvider(
        submit_url=f"{url}/submit", status_url=f"{url}/status", result_url=f"{url}/audio"
    )
    store = await SqliteTaskStore.open(file)
    tickets = [{"job_id": f"fc-{number:024}"} for number in range(_IN_FLIGHT)]
    jobs = [a_running_job(_OWNER, "modal", ticket) for ticket in tickets]
    for job in jobs:
        await store.create(job.task, job.generation)
    predictions = Client(api_token="r8_none", base_url=url).predictions  # noqa: S106
    with closing(_durable(file)) as connection:
        async with (
            httpx.AsyncClient() as client,
            Orchestrator(
                provider=provider, tasks=store, blobs=MemoryBlobStore(), background=False
            ) as orchestrator,
        ):

            async def poll_once(number: int) -> object:
                job = await orchestrator.poll_once(jobs[number].task.id, owner=_OWNER)
                if job.task.word != "running":
                    raise AssertionError(f"the provider was not asked: {job.task.word}")
                return job

            async def inline(number: int) -> object:
                task = jobs[number].task
                row = connection.execute(_COUNT_POLL, (task.id, _OWNER)).fetchone()
                reply = await client.get(f"{url}/status", params=tickets[number])
                return row, reply.json()

            async def prediction(number: int) -> object:
                return await predictions.async_get(f"prediction{number}")

            yield _Pollers(poll_once, inline, prediction)
    await store.aclose()
    await provider.aclose()


def _durable(file: Path) -> sqlite3.Connection:
    """Commits each statement to the disk, as the store does."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection
