"""A whole small world for orchestrator tests: memory stores, a fake provider, a clock that stands still."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from ttsorch.models import NO_LIMITS, Job, Limits, OnUnknown, Policy, Status
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import EffectListener, Listener, Provider
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store import TaskAndVoiceStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.faults import Crash, FaultPlan, faulty
from ttsorch.testing.speech import a_request

OWNER = "owner-1"
STRANGER = "owner-2"

Fake = FakeJobProvider | FakeDirectProvider
# The clock stands still: nobody waits here for the lease of a process that crashed to run out.
POLICY = Policy(shutdown_grace=0.05, commit=1.0, insist=1.0, answer_wait=0.0)


@dataclass
class World:
    """Everything outlives an orchestrator, as databases and vendors do."""

    provider: Provider
    clock: ManualClock = field(default_factory=ManualClock)
    policy: Policy = POLICY
    broken: str | None = None
    store: TaskAndVoiceStore | None = None

    def __post_init__(self) -> None:
        self.tasks = self.store or MemoryTaskStore(clock=self.clock)
        self.blobs = MemoryBlobStore(clock=self.clock)

    @asynccontextmanager
    async def running(
        self,
        *,
        background: bool = False,
        polls_synthesize: bool = True,
        plan: FaultPlan | None = None,
        limits: Limits = NO_LIMITS,
        on_unknown: OnUnknown | None = None,
        listeners: tuple[Listener, ...] = (),
        also: tuple[Provider, ...] = (),
        effects: tuple[EffectListener, ...] = (),
    ) -> AsyncIterator[Orchestrator]:
        tasks = faulty(self.tasks, plan) if plan else self.tasks
        async with Orchestrator(
            provider=faulty(self.provider, plan) if plan else self.provider,
            tasks=tasks,
            blobs=faulty(self.blobs, plan) if plan else self.blobs,
            voices=tasks,
            also=also,
            policy=self.policy,
            background=background,
            polls_synthesize=polls_synthesize,
            limits=limits,
            on_unknown=on_unknown,
            listeners=listeners,
            effects=effects,
        ) as orchestrator:
            yield orchestrator

    async def submitted(self, orchestrator: Orchestrator, text: str = "Hello.") -> Job:
        return await orchestrator.submit(a_request(text, self.provider.name), owner=OWNER)

    async def stored(self, job: Job) -> Job:
        """The rows as they are, behind the orchestrator's back."""
        found = await self.tasks.get(job.task.owner, job.task.id, include_deleted=True)
        assert found is not None
        return found

    async def blob_keys(self) -> list[str]:
        return [blob.key async for blob in self.blobs.list("")]


@asynccontextmanager
async def crashing() -> AsyncIterator[None]:
    """Stands for the machine: takes the crash of a process, however many task groups it went through."""
    try:
        yield
    except Crash:
        return
    except BaseExceptionGroup as group:
        _, others = group.split(Crash)
        if others:
            raise


def paused_at(provider: Fake, name: str) -> tuple[anyio.Event, anyio.Event]:
    """Make the named call wait: (it has begun, let it go on)."""
    begun, go_on = anyio.Event(), anyio.Event()

    def pause(call: str) -> anyio.Event | None:
        if call != name:
            return None
        begun.set()
        return go_on

    provider.script.pause = pause
    return begun, go_on


async def polled_to_the_end(orchestrator: Orchestrator, job: Job, *, polls: int = 50) -> Job:
    """Poll as a client does until the task is terminal."""
    for _ in range(polls):
        job = await orchestrator.poll_once(job.task.id, owner=job.task.owner)
        if job.task.status.terminal:
            return job
        await anyio.lowlevel.checkpoint()
    raise AssertionError(f"still {job.task.phase} after {polls} polls")


def completed(job: Job) -> bool:
    return job.task.status is Status.COMPLETED
