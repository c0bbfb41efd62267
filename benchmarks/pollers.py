"""Clients that poll the fake vendor, and what they cost with 64 polls in flight."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

import anyio
from anyio.from_thread import BlockingPortal
from replicate.client import Client

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, median, ratio, take_turns, wall_per_call
from benchmarks.rows import a_running_job
from ttsorch.models import Job
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import TaskStore
from ttsorch.providers.modal import ModalProvider
from ttsorch.storage.memory import MemoryBlobStore

#: Polls the task or the prediction of that number, up to :data:`IN_FLIGHT`.
Poll: TypeAlias = Callable[[int], Awaitable[object]]

OWNER = "ann"
IN_FLIGHT = 64
_CALLS_AT_ONCE = 10 * IN_FLIGHT


@asynccontextmanager
async def polling(url: str, store: TaskStore) -> AsyncIterator[tuple[Poll, Sequence[Job]]]:
    """``poll_once`` over that store, and the jobs that it polls at the vendor there."""
    provider = ModalProvider(
        submit_url=f"{url}/submit", status_url=f"{url}/status", result_url=f"{url}/audio"
    )
    jobs = [
        a_running_job(OWNER, "modal", {"job_id": f"fc-{number:024}"}) for number in range(IN_FLIGHT)
    ]
    for job in jobs:
        await store.create(job.task, job.generation)
    async with Orchestrator(
        provider=provider, tasks=store, blobs=MemoryBlobStore(), background=False
    ) as orchestrator:

        async def poll_once(number: int) -> object:
            job = await orchestrator.poll_once(jobs[number].task.id, owner=OWNER)
            if job.task.word != "running":
                raise AssertionError(f"the provider was not asked: {job.task.word}")
            return job

        yield poll_once, jobs
    await provider.aclose()


def replicate_poll(url: str) -> Poll:
    """Replicate's own client, which stores nothing."""
    predictions = Client(api_token="r8_none", base_url=url).predictions  # noqa: S106

    async def prediction(number: int) -> object:
        return await predictions.async_get(f"prediction{number}")

    return prediction


def against_replicate(
    name: str,
    what: str,
    bar: float,
    portal: BlockingPortal,
    polls: Mapping[str, Poll],
    effort: Effort,
) -> Finding:
    """Calls in a second with 64 in flight, of ``poll_once`` against ``replicate`` among ``polls``."""
    calls = effort.calls(_CALLS_AT_ONCE, least=IN_FLIGHT)

    def measure(poll: Poll) -> float:
        return wall_per_call(calls, lambda count: portal.call(at_once, count, poll))

    costs = take_turns(
        {name: partial(measure, poll) for name, poll in polls.items()}, effort.rounds
    )
    note = ", ".join(f"{each} {1 / median(costs[each]).value:.0f}/s" for each in polls)
    figure = ratio(costs, "replicate", "poll_once")
    return Finding(name, what, figure, Bar(bar, at_least=True), note=note)


async def at_once(calls: int, call: Callable[[int], Awaitable[object]]) -> None:
    """So many calls or a few more, 64 of them in flight; each is told which of the 64 it is."""

    async def worker(number: int) -> None:
        for _ in range(-(-calls // IN_FLIGHT)):
            await call(number)

    async with anyio.create_task_group() as group:
        for number in range(IN_FLIGHT):
            group.start_soon(worker, number)
