"""A task that is active for ever, over stores in memory: what the HTTP benchmarks ask for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import a_request

OWNER = "ann"
TOKEN = "a-token-as-long-as-real-ones-are-0123456789"  # noqa: S105
#: How a host knows who is asking, in all applications that are measured: one look-up.
OWNERS = {f"Bearer {TOKEN}": OWNER}
SIGNING_KEY = b"0123456789abcdef0123456789abcdef"

#: Requests at once, each over a connection of its own.
IN_FLIGHT = 8

_FOR_EVER = 10**9


@dataclass(frozen=True, slots=True)
class World:
    """``task_ids`` name tasks of :data:`OWNER` that their provider says are running, however often asked."""

    orchestrator: Orchestrator
    task_ids: Sequence[str]


@asynccontextmanager
async def open_orchestrator() -> AsyncIterator[Orchestrator]:
    """Over memory and a provider whose answers cost nothing, so that HTTP is what is left."""
    async with Orchestrator(
        provider=FakeJobProvider(checks_until_ready=_FOR_EVER),
        tasks=MemoryTaskStore(),
        blobs=MemoryBlobStore(),
        background=False,
    ) as orchestrator:
        yield orchestrator


async def running_tasks(orchestrator: Orchestrator) -> list[str]:
    """The ids of tasks that have been seen running: one for each request in flight, since polls of one task
    share their work."""
    task_ids = []
    for _ in range(IN_FLIGHT):
        job = await orchestrator.submit(a_request(), owner=OWNER)
        await orchestrator.poll_once(job.task.id, owner=OWNER)
        task_ids.append(job.task.id)
    return task_ids


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    async with open_orchestrator() as orchestrator:
        yield World(orchestrator, await running_tasks(orchestrator))
