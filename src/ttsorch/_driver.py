"""Who is working on which task in this process: flights that polls share, and turns that the sweep takes.

A step that began is out of reach of its caller's cancellation, and whoever wants the same step waits for
the one that is under way. What nobody waits for takes its turn: at most so many at a time, and what takes
long (a synthesis) holds up nothing else.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from types import TracebackType

import anyio

from ttsorch import states
from ttsorch._flights import Flights
from ttsorch._journal import Journal
from ttsorch._slots import FairSlots
from ttsorch._steps import Steps
from ttsorch.errors import InternalError, StorageUnavailable, TtsorchError
from ttsorch.models import Job, Phase, Policy, Task
from ttsorch.protocols import TaskStore

logger = logging.getLogger("ttsorch")

#: A process that knows the provider may be waiting for its turn.
_LONGEST_FOR_OTHERS = 60.0

#: How often who has the same request looks for the answer that another process waits for.
_LOOK_AGAIN_SECONDS = 0.25

#: How long ago a row may have been read for a step to begin with it. Reading it once more would be half of
#: what a step without news costs.
_STILL_FRESH = timedelta(seconds=1)


class Driver:
    """An async context manager; on leaving, nothing new begins, and what has begun may land."""

    def __init__(
        self,
        *,
        tasks: TaskStore,
        steps: Steps,
        journal: Journal,
        flights: Flights[Job | None],
        policy: Policy,
        background: bool,
        polls_synthesize: bool,
    ) -> None:
        self._tasks = tasks
        self._steps = steps
        self._journal = journal
        self._flights = flights
        self._policy = policy
        self._background = background
        self._polls_synthesize = polls_synthesize
        self._turns: Flights[None] = Flights(0)
        self._synthesis_slots = FairSlots(policy.concurrency)
        self._other_slots = FairSlots(policy.sweep_concurrency)

    async def __aenter__(self) -> "Driver":
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._flights)
            await stack.enter_async_context(self._turns)
            if self._background:
                self._turns.start("sweep", self._sweep_forever)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._open.__aexit__(exc_type, exc, traceback)

    async def share(self, key: str, job: Job, work: Callable[[], Awaitable[Job]]) -> Job:
        """What the flight under ``key`` makes of ``job``, or the row's truth if it was stopped."""
        return await self._flights.share(key, work) or await self._journal.reread(job)

    async def step(self, job: Job) -> Job:
        """One step of the job's task, or the one that is under way."""
        return await self.share(job.task.id, job, partial(self._step, job))

    async def _step(self, job: Job) -> Job:
        async with self._putting_aside(job):
            return await self._steps.step(job)

    @asynccontextmanager
    async def _putting_aside(self, job: Job) -> AsyncIterator[None]:
        """A defect, or a row that can't be: who meets it next meets it later, and later each time."""
        try:
            yield
        except TtsorchError:
            raise
        except Exception as error:
            await self._put_aside(job, type(error).__name__, self._policy.longest_hold)
            raise

    async def _put_aside(self, job: Job, reason: str, longest: float) -> None:
        try:
            await self._journal.put_aside(job.task, reason, longest=longest)
        except StorageUnavailable as error:
            logger.warning("task %s could not be put aside: %s", job.task.id, error.detail)

    async def answered(self, job: Job) -> Job:
        """The job with the answer to its submit, if somebody waits for that just now: whoever repeats a
        request gets what the first one gets."""
        task, now = job.task, self._journal.now()
        if task.phase is not Phase.SUBMITTING or self._steps.runs_here(task):
            return job
        if states.lease_is_live(task, now):
            job = await self.step(job)
        # It may have come between the look at the row and the look for who waits.
        return await self._answered_elsewhere(job) if job.task.phase is Phase.SUBMITTING else job

    async def _answered_elsewhere(self, job: Job) -> Job:
        """The same where another process waits: its row is looked at now and then while it holds the lease.
        When that takes too long the job comes back as it is, under way."""
        job = await self._journal.reread(job)
        with anyio.move_on_after(self._policy.answer_wait):
            while job.task.phase is Phase.SUBMITTING:
                if not states.lease_is_live(job.task, self._journal.now()):
                    break
                await anyio.sleep(_LOOK_AGAIN_SECONDS)
                job = await self._journal.reread(job)
        return job

    async def step_if_due(self, job: Job) -> Job:
        """:meth:`step`, unless the task is put off. A step that is under way is waited for."""
        now = self._journal.now()
        if states.is_due(job.task, now) or states.lease_is_live(job.task, now):
            return await self.step(job)
        return job

    def stop(self, task: Task) -> None:
        """End the flight of a task that is over, but for a job provider's submit: only its answer tells
        which job to cancel there."""
        if task.ticket or self._steps.runs_here(task):
            self._flights.stop(task.id)

    def take_turn(self, job: Job) -> None:
        """Step the task when there is room for it; nobody waits for that."""
        self._turns.start(job.task.id, partial(self.step_in_turn, job))

    async def step_in_turn(self, job: Job) -> None:
        """Step the task as soon as there is room for it.

        Raises:
            TtsorchError: what the step raised; anything unexpected as InternalError.
        """
        try:
            async with self._putting_aside(job):
                await self._step_in_turn(job)
        except TtsorchError:
            raise
        except Exception as error:
            logger.exception("unexpected error before a step of %s", job.task.id)
            raise InternalError(detail=type(error).__name__) from error

    async def _step_in_turn(self, job: Job) -> None:
        # The wait for a slot is outside the flight, so that no poll ever waits for it too.
        synthesis = self._steps.synthesizes(job.task)
        slots = self._synthesis_slots if synthesis else self._other_slots
        was_read = self._journal.now()
        async with slots.slot(job.task.owner):
            if self._journal.now() - was_read > _STILL_FRESH:
                job = await self._journal.reread(job)
            # Whoever changed the row in a moment as short as that makes our write fail, which rereads it.
            await self.step(job)
        if not (job.task.status.terminal or self._steps.can_step(job.task)):
            await self._put_aside(job, "provider_not_configured", _LONGEST_FOR_OTHERS)

    async def claim_due(self) -> list[Job]:
        """Jobs whose time has come, for us to step."""
        return list(
            await self._tasks.claim_due(
                limit=self._policy.sweep_batch, hold_seconds=self._policy.lease
            )
        )

    def poll_drives(self, task: Task) -> bool:
        """Whether a poll has anything to do that nobody is doing already, and that is not put off."""
        now = self._journal.now()
        if task.status.terminal or states.lease_is_live(task, now):
            return False
        if task.phase is Phase.QUEUED and self._background:
            return False
        if not self._polls_synthesize and self._steps.synthesizes(task):
            # Failing it is no long call.
            ends = states.deadline(task)
            return ends is not None and ends <= now
        put_off = task.phase in (Phase.QUEUED, Phase.READY) or task.finalize_attempts > 0
        if task.phase is Phase.RUNNING and task.word == states.STATUS_ERROR:
            put_off = True
        return states.is_due(task, now) or not put_off

    async def _sweep_forever(self) -> None:
        # Never waits for a step: one long synthesis must not hold up the rest.
        while True:
            try:
                for job in await self.claim_due():
                    self.take_turn(job)
            except TtsorchError as error:
                logger.warning("sweep: %s (%s)", error.code, error.detail)
            except Exception:
                # A defect in a store must not be the end of all sweeping.
                logger.exception("sweep")
            await anyio.sleep(self._policy.sweep_interval)
