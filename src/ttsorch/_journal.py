"""How a transition gets onto its rows: compare-and-set, claims, leases, and telling the listeners.

Decides nothing about speech. Whoever comes second writes nothing and is handed the row's truth; a commit
can't be cut off by cancellation, and is bounded all the same.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import anyio

from ttsorch import states
from ttsorch._flights import Flights
from ttsorch.errors import StorageUnavailable
from ttsorch.models import Job, Phase, Policy, Task, Transition
from ttsorch.protocols import Listener, TaskStore

logger = logging.getLogger("ttsorch")

_LOST_RACES = 20
_WRITE_PAUSE = 0.2

T = TypeVar("T")


class Journal:
    """Writes transitions of tasks, always together with their generations."""

    def __init__(
        self,
        tasks: TaskStore,
        policy: Policy,
        listeners: Sequence[Listener],
        flights: Flights[Job | None],
    ) -> None:
        self._tasks = tasks
        self._policy = policy
        self._listeners = tuple(listeners)
        self._flights = flights

    def now(self) -> datetime:
        return self._tasks.now()

    def after(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    async def reread(self, job: Job) -> Job:
        """The row as it is now, also when its owner has deleted it; as last seen if it is gone."""
        task = job.task
        return await self._tasks.get(task.owner, task.id, include_deleted=True) or job

    async def commit(self, job: Job, event: states.Event, *, until_written: bool = False) -> Job:
        """Write one transition. If somebody else was first, or the table doesn't allow it, nothing is
        written and the row's truth comes back; with ``until_written``, the event is tried again on that
        truth for as long as the table allows it.

        Raises:
            StorageUnavailable: unknown whether it was written; rereading tells.
        """
        with anyio.move_on_after(self._policy.commit, shield=True) as bound:
            written, after = await self._write(job, event, until_written)
        if bound.cancelled_caught:
            raise StorageUnavailable(detail="the commit took too long")
        if written is not None:
            await self.announce(written, after)
        return after

    async def claim(self, job: Job, event: states.Event) -> Job | None:
        """:meth:`commit`, and take the task's lease with it; None when somebody else was first."""
        after = self._advanced(job, event)
        with anyio.CancelScope(shield=True):
            task = await self._tasks.claim(
                after.task,
                after.generation,
                expected_version=job.task.version,
                lease_seconds=self._policy.lease,
            )
        if task is None:
            return None
        claimed = Job(task, after.generation)
        await self.announce(job.task.phase, claimed)
        return claimed

    async def under_lease(self, job: Job, work: Callable[[], Awaitable[Job]]) -> Job:
        """Do ``work`` for as long as the lease is ours; when it is lost, stop and return the truth."""
        keeper = f"lease of {job.task.id} at {job.task.fence}"
        with anyio.CancelScope() as scope:
            self._flights.start(keeper, partial(self._keep_lease, job.task, scope))
            try:
                return await work()
            finally:
                self._flights.stop(keeper)
        return await self.reread(job)

    async def announce(self, before: Phase | None, job: Job) -> None:
        """Tell every listener, after the commit."""
        for listener in self._listeners:
            try:
                await listener(Transition(before, job))
            except Exception:
                logger.exception("a listener failed")

    def _advanced(self, job: Job, event: states.Event) -> Job:
        task = states.advance(job.task, event, self.now())
        return Job(task, states.reflect(job.generation, task) if job.generation else None)

    async def _write(
        self, job: Job, event: states.Event, until_written: bool
    ) -> tuple[Phase | None, Job]:
        """The phase that was left if we wrote, else None; and the job as it is now."""
        for _ in range(_LOST_RACES):
            if not states.allows(job.task, event):
                return None, job
            after = self._advanced(job, event)
            version = job.task.version
            replace = partial(self._tasks.replace, after.task, after.generation)
            if await _insist(partial(replace, expected_version=version)):
                return job.task.phase, after
            job = await _insist(partial(self.reread, job))
            if not until_written:
                return None, job
        raise StorageUnavailable(code="too_contended", detail="lost too many races for one task")

    async def _keep_lease(self, task: Task, scope: anyio.CancelScope) -> None:
        lease = self._policy.lease
        ours_until = anyio.current_time() + lease * 2 / 3
        while anyio.current_time() < ours_until:
            await anyio.sleep(lease / 3)
            try:
                held = await self._tasks.renew(task.id, fence=task.fence, lease_seconds=lease)
            except StorageUnavailable:
                continue
            if not held:
                break
            ours_until = anyio.current_time() + lease * 2 / 3
        scope.cancel()


async def _insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call to the store while there is time. A write whose answer got lost is refused when it is
    repeated, and the row that is read then says what was written."""
    while True:
        try:
            return await call()
        except StorageUnavailable:
            left = anyio.current_effective_deadline() - anyio.current_time()
            if left < 2 * _WRITE_PAUSE:
                raise
        await anyio.sleep(_WRITE_PAUSE)
