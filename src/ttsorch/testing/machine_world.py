"""What the state machine of the orchestrator acts in: processes that come and go over what outlives them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import anyio

from ttsorch.errors import NotFound, TtsorchError
from ttsorch.models import Generation, Job, Limits, OnUnknown, Policy, Task, TaskKind
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore, TaskStore, VoiceStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.faults import Crash, Fault, FaultPlan, faulty

Known: TypeAlias = tuple[str, str]
Verb: TypeAlias = Callable[[Orchestrator], Awaitable[None]]

OWNERS = ("owner-1", "owner-2")
MOST_ACTIVE = 3
POLICY = Policy(
    shutdown_grace=0.01,
    commit=1.0,
    insist=1.0,
    max_resubmits=2,
    submit_backoff=0.001,
    # The clock stands still, so the lease of a process that crashed would not run out meanwhile.
    answer_wait=0.0,
)


class RowStore(TaskStore, VoiceStore, Protocol):
    """What a database's class is."""


class World:
    """The stores, the vendor and the clock that outlive each process, and what a user of them knows."""

    def __init__(
        self,
        *,
        clock: ManualClock,
        tasks: RowStore,
        blobs: BlobStore,
        provider: FakeCastingProvider | FakeDesigningJobProvider,
        on_unknown: OnUnknown,
    ) -> None:
        self.clock = clock
        self.tasks = tasks
        self.blobs = blobs
        self.provider = provider
        self.on_unknown = on_unknown
        self.seen: dict[str, Job] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        #: Whose those tasks were that a purge took.
        self.gone: dict[str, str] = {}

    # --- processes ------------------------------------------------------------------------------------

    def orchestrator(self, plan: FaultPlan | None) -> Orchestrator:
        return Orchestrator(
            provider=faulty(self.provider, plan) if plan else self.provider,
            tasks=(tasks := faulty(self.tasks, plan) if plan else self.tasks),
            voices=tasks,
            blobs=faulty(self.blobs, plan) if plan else self.blobs,
            policy=POLICY,
            background=False,
            on_unknown=self.on_unknown,
            limits=Limits(active_per_owner=MOST_ACTIVE),
        )

    def run(self, verb: Verb, fault: tuple[Fault, int] | None) -> None:
        plan = FaultPlan(*fault) if fault else None

        async def process() -> None:
            async with self.orchestrator(plan) as tts:
                with anyio.CancelScope() as scope:
                    if plan:
                        plan.scope = scope
                    await verb(tts)

        try:
            anyio.run(process)
        except (Crash, TtsorchError, BaseExceptionGroup) as error:
            _check_expected(error, plan)
        # A store may go on writing what a crash cut off, as a dead process's never would. Writes come in
        # order, so that after one more (of nothing) all of them are there.
        anyio.run(self.tasks.record_poll, "nobody", "nothing")

    # --- what is known --------------------------------------------------------------------------------

    def notice(self) -> None:
        """Learn of tasks whose submit was never answered to us, as a database administrator would."""
        for job in anyio.run(self._all):
            self.seen.setdefault(job.task.id, job)
            if job.task.idempotency_key and job.generation:
                key = (job.task.owner, job.task.idempotency_key)
                self.keys.setdefault(key, (job.generation.text, job.task.id))

    async def _all(self) -> list[Job]:
        return [job for owner in OWNERS for job in await self.tasks.list_tasks(owner, limit=50)]

    def moment_before(self, seconds: float) -> datetime:
        return self.clock() - timedelta(seconds=seconds)

    def forget_purged(self) -> list[Task]:
        """The tasks whose rows are gone, as they were."""
        there = anyio.run(self._still_there)
        gone = [job.task for job in self.seen.values() if job.task.id not in there]
        for task in gone:
            del self.seen[task.id]
            self.gone[task.id] = task.owner
            self.keys.pop((task.owner, task.idempotency_key or ""), None)
        return gone

    async def _still_there(self) -> set[str]:
        tasks = [job.task for job in self.seen.values()]
        found = [await self.tasks.get(t.owner, t.id, include_deleted=True) for t in tasks]
        return {job.task.id for job in found if job is not None}

    async def seen_by(self, owner: str) -> tuple[int, int, int]:
        """How many tasks, generations and voices an owner is shown."""
        tasks = await self.tasks.list_tasks(owner, limit=50)
        voices = await self.tasks.list_voices(owner)
        return len(tasks), len(await self.history(owner)), voices.total

    async def history(self, owner: str) -> Sequence[Generation]:
        return (await self.tasks.list_generations(owner, per_page=1000)).items

    def picked(self, pick: int) -> Known | None:
        """One of the tasks there are. Not a bundle: what a fault leaves behind depends on the moment, and
        hypothesis has to be able to draw the same history twice."""
        jobs = list(self.seen.values())
        if not jobs:
            return None
        task = jobs[pick % len(jobs)].task
        return task.owner, task.id

    def stored(self, owner: str, task_id: str) -> Job:
        return anyio.run(self.read, owner, task_id)

    async def read(self, owner: str, task_id: str) -> Job:
        job = await self.tasks.get(owner, task_id, include_deleted=True)
        assert job is not None, "an acknowledged task is gone"
        return job

    async def blob_keys(self) -> set[str]:
        return {blob.key async for blob in self.blobs.list("")}

    async def named_keys(self) -> set[str]:
        """What a generation, a task without one, a clone that made its voice, or a voice names."""
        jobs = self.seen.values()
        named = {
            job.task.audio.key for job in jobs if job.task.audio and not job.task.generation_id
        }
        for owner in OWNERS:
            named |= {each.audio.key for each in await self.history(owner) if each.audio}
        for job in jobs:
            if job.task.kind is TaskKind.CLONE and job.task.voice.provider_voice_id is not None:
                named.add(job.task.voice.reference_audio_key or "")
        for owner in OWNERS:
            for voice in (await self.tasks.list_voices(owner, per_page=100)).items:
                named.add(voice.reference_audio_key or "")
        return named


def _check_expected(error: BaseException, plan: FaultPlan | None) -> None:
    """Only what the plan did may come out of a process, or what says that a row is not there."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _check_expected(each, plan)
    elif not (isinstance(error, NotFound) or (plan and plan.struck)):
        raise error
