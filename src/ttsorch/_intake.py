"""How a task comes into being: checked, written, and taken its first step.

From before the insert to after the provider's answer it is one flight: nobody can step in between, and a
caller that goes away leaves no job behind that nobody sends.
"""

import uuid
from functools import partial

from ttsorch import states
from ttsorch._announcer import Announcer
from ttsorch._driver import Driver
from ttsorch._steps import Steps
from ttsorch.errors import IdempotencyConflict
from ttsorch.models import Generation, Job, Limits, Policy, SpeechRequest, Task, TaskKind, Voice
from ttsorch.protocols import TaskStore
from ttsorch.states import new_task


class Intake:
    """Takes new tasks for one provider in."""

    def __init__(
        self,
        *,
        provider_name: str,
        tasks: TaskStore,
        steps: Steps,
        driver: Driver,
        announcer: Announcer,
        policy: Policy,
        background: bool,
    ) -> None:
        self._provider_name = provider_name
        self._tasks = tasks
        self._steps = steps
        self._driver = driver
        self._announcer = announcer
        self._policy = policy
        self._background = background

    def task(
        self,
        owner: str,
        voice: Voice,
        characters: int,
        *,
        id: str | None = None,
        kind: TaskKind = TaskKind.GENERATE,
        request: SpeechRequest | None = None,
        idempotency_key: str | None = None,
        payload_hash: str | None = None,
    ) -> Task:
        """A new task, written nowhere yet."""
        return new_task(
            id=id or str(uuid.uuid4()),
            generation_id=str(uuid.uuid4()) if kind is TaskKind.GENERATE else None,
            owner=owner,
            provider=self._provider_name,
            voice=voice,
            characters=characters,
            kind=kind,
            options=request.options if request else None,
            idempotency_key=idempotency_key,
            payload_hash=payload_hash,
            now=self._tasks.now(),
            policy=self._policy,
        )

    async def queue(self, task: Task, generation: Generation | None, *, limits: Limits) -> Job:
        """Write the rows, and leave the call to a turn of its own, or to the first poll."""
        work = partial(self._create, task, generation, limits)
        return await self._driver.share(task.id, Job(task, generation), work)

    async def send(self, task: Task, generation: Generation | None, *, limits: Limits) -> Job:
        """Write the rows with the attempt on them, and make the call at once."""
        work = partial(self._create_and_send, task, generation, limits)
        return await self._driver.share(task.id, Job(task, generation), work)

    async def _create(self, task: Task, generation: Generation | None, limits: Limits) -> Job:
        job = await self._tasks.create(task, generation, limits=limits)
        if not _is_ours(job, task):
            return _repeated(job, task)
        self._announcer.announce(None, job)
        if self._background:
            self._driver.take_turn(job)
        return job

    async def _create_and_send(
        self, task: Task, generation: Generation | None, limits: Limits
    ) -> Job:
        started = states.SubmitStarted(self._steps.word_for_submitting(task))
        task = states.advance(task, started, self._tasks.now())
        job = await self._tasks.create(
            task,
            states.reflect(generation, task) if generation else None,
            lease_seconds=self._policy.lease,
            limits=limits,
        )
        if not _is_ours(job, task):
            return _repeated(job, task)
        self._announcer.announce(None, job)
        return await self._steps.submit(job)


def _is_ours(job: Job, task: Task) -> bool:
    """Whether ``job`` is what we inserted, and not what was there."""
    return (job.task.id, job.task.payload_hash) == (task.id, task.payload_hash)


def _repeated(earlier: Job, task: Task) -> Job:
    if earlier.task.id != task.id and earlier.task.payload_hash != task.payload_hash:
        raise IdempotencyConflict
    return earlier
