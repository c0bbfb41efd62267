"""P5: what the database takes for a durable submit, against Procrastinate's defer on the same server.

A submit has two statements, each committed: the task and its generation with the attempt on them, before the
provider is called, and the provider's answer after it. A deferred job has one, and nobody has been called;
that is like the first statement alone, with which a direct provider's submit ends (``first``). ``whole`` is
``submit`` itself, with a provider whose answer costs nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from anyio.from_thread import BlockingPortal, start_blocking_portal
from procrastinate import App, PsycopgConnector

from benchmarks.database import CONNECTIONS, database
from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, median, ratio, repeat, take_turns, wall_per_call
from benchmarks.pollers import IN_FLIGHT, OWNER, at_once
from benchmarks.rows import a_running_job
from ttsorch.models import Job, Phase
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import a_request

Submit: TypeAlias = Callable[[int], Awaitable[object]]

_CALLS = 150
_CALLS_AT_ONCE = 8 * IN_FLIGHT
_LEASE = 10.0


def run(effort: Effort) -> Iterator[Finding]:
    with (
        database() as url,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_deferring(url)) as defer,
        portal.wrap_async_context_manager(_submitting(url)) as (store, whole),
    ):
        submits: Mapping[str, Submit] = {
            "statements": partial(_statements, store),
            "first": partial(_first_statement, store),
            "whole": whole,
            "defer": defer,
        }
        for bar, in_flight in ((1.6, 1), (3.0, IN_FLIGHT)):
            yield from _compared(portal, submits, effort, bar, in_flight)


def _compared(
    portal: BlockingPortal,
    submits: Mapping[str, Submit],
    effort: Effort,
    bar: float,
    in_flight: int,
) -> Iterator[Finding]:
    async def all_of(count: int, submit: Submit) -> None:
        await (repeat(count, partial(submit, 0)) if in_flight == 1 else at_once(count, submit))

    def measure(submit: Submit) -> float:
        full, least = (_CALLS, 1) if in_flight == 1 else (_CALLS_AT_ONCE, IN_FLIGHT)
        calls = effort.calls(full, least=least)
        return wall_per_call(calls, lambda count: portal.call(all_of, count, submit))

    costs = take_turns(
        {name: partial(measure, submit) for name, submit in submits.items()}, effort.rounds
    )
    note = ", ".join(f"{name} {1 / median(costs[name]).value:.0f}/s" for name in costs)
    what = f"procrastinate defer, {in_flight} in flight"
    figure = ratio(costs, "defer", "statements")
    yield Finding("P5", f"submit's statements / {what}", figure, Bar(bar, at_least=True), note=note)
    yield Finding("P5", f"submit's first statement / {what}", ratio(costs, "defer", "first"))
    yield Finding("P5", f"whole submit / {what}", ratio(costs, "defer", "whole"))


async def _statements(store: PostgresTaskStore, number: int) -> None:
    """What a job provider's submit asks of its store."""
    submitting = await _first_statement(store, number)
    accepted = replace(
        submitting.task,
        phase=Phase.RUNNING,
        ticket={"id": "job-1"},
        word="provider_queued",
        version=submitting.task.version + 1,
        lease_until=None,
        next_action_at=store.now() + timedelta(seconds=5),
    )
    version = submitting.task.version
    if not await store.replace(accepted, submitting.generation, expected_version=version):
        raise AssertionError("somebody else wrote it")


async def _first_statement(store: PostgresTaskStore, _: int) -> Job:
    running = a_running_job(OWNER, "fake", {"id": "job-1"})
    task = replace(running.task, phase=Phase.SUBMITTING, ticket=None, word="provider_submitting")
    return await store.create(task, running.generation, lease_seconds=_LEASE)


@asynccontextmanager
async def _submitting(url: str) -> AsyncIterator[tuple[PostgresTaskStore, Submit]]:
    store = await PostgresTaskStore.open(url, pool_size=CONNECTIONS)
    async with Orchestrator(
        provider=FakeJobProvider(), tasks=store, blobs=MemoryBlobStore(), background=False
    ) as orchestrator:

        async def submit(_: int) -> None:
            job = await orchestrator.submit(a_request(), owner=OWNER)
            if job.task.phase is not Phase.RUNNING:
                raise AssertionError(f"not accepted: {job.task.error}")

        yield store, submit
    await store.aclose()


@asynccontextmanager
async def _deferring(url: str) -> AsyncIterator[Submit]:
    app = App(connector=PsycopgConnector(conninfo=url, max_size=CONNECTIONS))
    task = app.configure_task("say", queue="speech")
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        request = a_request()

        async def defer(_: int) -> None:
            await task.defer_async(owner=OWNER, text=request.text, voice=request.voice.id)

        yield defer
