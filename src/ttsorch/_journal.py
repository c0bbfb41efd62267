"""How a transition gets onto its rows: compare-and-set, claims and leases.

Decides nothing about speech. Whoever comes second writes nothing and is handed the row's truth; a commit
can't be cut off by cancellation, and is bounded all the same.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import anyio

from ttsorch import states
from ttsorch._announcer import Announcer
from ttsorch._flights import Flights
from ttsorch._outbox import Outbox
from ttsorch.errors import LONGEST_WAIT, ProviderTimeout, StorageUnavailable
from ttsorch.models import ErrorInfo, Job, Phase, Policy, Task
from ttsorch.protocols import TaskStore

logger = logging.getLogger("ttsorch")

_TROUBLE: Mapping[Phase, str] = {
    Phase.FAILED: "failed",
    Phase.QUEUED: "will be tried again",
    Phase.SUBMIT_UNKNOWN: "nobody knows yet whether it was accepted",
}

#: NUL and lone surrogates.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_LOST_RACES = 20
_WRITE_PAUSE = 0.2

T = TypeVar("T")


class Journal:
    """Writes transitions of tasks, always together with their generations."""

    def __init__(
        self,
        tasks: TaskStore,
        policy: Policy,
        announcer: Announcer,
        flights: Flights[Job | None],
        outbox: Outbox,
    ) -> None:
        self._tasks = tasks
        self._policy = policy
        self._announcer = announcer
        self._flights = flights
        self._outbox = outbox

    def now(self) -> datetime:
        return self._tasks.now()

    def after(self, seconds: float) -> datetime:
        """So many seconds from now; a vendor's idea of a wait is taken for a month at most."""
        return self.now() + timedelta(seconds=min(seconds, LONGEST_WAIT))

    def seconds_left(self, task: Task) -> float:
        """Until the task has to be finished."""
        return (task.finish_by - self.now()).total_seconds()

    def lost(self, detail: str) -> states.SubmitLost:
        """Nobody can say what became of a call; to be resolved within the grace period."""
        error = ProviderTimeout(code="submission_outcome_unknown", detail=detail, ambiguous=True)
        return states.SubmitLost(ErrorInfo.of(error), self.after(self._policy.unknown_grace))

    async def reread(self, job: Job) -> Job:
        """The row as it is now, also when its owner has deleted it; as last seen if it is gone."""
        return await self._find(job.task) or job

    async def commit(
        self,
        job: Job,
        event: states.Event,
        *,
        until_written: bool = False,
        patiently: bool = False,
    ) -> Job:
        """Write one transition. If somebody else was first, or the table doesn't allow it, nothing is
        written and the row's truth comes back; with ``until_written``, the event is tried again on that
        truth for as long as the table allows it. That, and ``patiently``, give a database that is away
        more time: for what a provider answered.

        Raises:
            StorageUnavailable: unknown whether it was written; rereading tells.
        """
        patient = until_written or patiently
        seconds = self._policy.insist if patient else self._policy.commit
        with _bounded_commit(seconds):
            written, after = await self._write(job, event, until_written)
        if written is not None:
            self._announcer.announce(written, after)
            _tell_operator(written, after.task)
        return after

    async def claim(self, job: Job, event: states.Event, *, sends: bool = False) -> Job | None:
        """:meth:`commit`, and take the task's lease with it; None when somebody else was first, or when it
        ``sends`` to a provider that is paused."""
        after = self._advanced(job, event)
        with _bounded_commit(self._policy.commit):
            task = await self._tasks.claim(
                after.task,
                after.generation,
                expected_version=job.task.version,
                lease_seconds=self._policy.lease,
                sends=sends,
            )
        if task is None:
            return None
        claimed = Job(task, after.generation)
        self._announcer.announce(job.task.phase, claimed)
        return claimed

    async def put_aside(self, task: Task, reason: str, *, longest: float) -> None:
        """Have a task that could not be taken further looked at later, and later each time."""
        with _bounded_commit(self._policy.commit):
            await self._tasks.put_aside(
                task.id,
                expected_version=task.version,
                reason=reason,
                hold_seconds=self._policy.lease,
                most_seconds=longest,
            )

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

    async def _find(self, task: Task) -> Job | None:
        return await self._tasks.get(task.owner, task.id, include_deleted=True)

    def _advanced(self, job: Job, event: states.Event) -> Job:
        task = _storable(states.advance(job.task, event, self.now()))
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
            effect = self._outbox.owed_for(job.task, after.task)
            write = partial(self._tasks.replace, after.task, after.generation, effect=effect)
            if await _insist(partial(write, expected_version=version)):
                return job.task.phase, after
            found = await _insist(partial(self._find, job.task))
            if found is None or not until_written:
                return None, found or job  # what a purge took will never be written
            job = found
        raise StorageUnavailable(code="too_contended", detail="lost too many races for one task")

    async def _keep_lease(self, task: Task, scope: anyio.CancelScope) -> None:
        """Renew until told to stop; end ``scope`` when the lease is lost, can't be known to be ours any
        more, or outlives the task's own time."""
        try:
            ours_until = self._surely_ours_until(task.lease_until)
            while anyio.current_time() < ours_until and self.now() < task.finish_by:
                await anyio.sleep(self._policy.lease / 3)
                with anyio.CancelScope(deadline=ours_until):
                    if not await self._renewed(task):
                        return
                    ours_until = self._surely_ours_until(self.after(self._policy.lease))
        finally:
            scope.cancel()

    async def _renewed(self, task: Task) -> bool:
        lease = self._policy.lease
        return await _insist(
            partial(self._tasks.renew, task.id, fence=task.fence, lease_seconds=lease)
        )

    def _surely_ours_until(self, lease_until: datetime | None) -> float:
        """On the event loop's clock: a third of a lease before its end on the store's clock."""
        left = (lease_until - self.now()).total_seconds() if lease_until else 0.0
        return anyio.current_time() + left - self._policy.lease / 3


def _storable(task: Task) -> Task:
    """With the vendor's words as every database can keep them: what it answered must not be lost over a NUL,
    which PostgreSQL doesn't take, or half a character, which UTF-8 can't express."""
    word, error = task.word, task.error
    if word is not None and _UNSTORABLE.search(word):
        task = replace(task, word=_UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", word))
    if error is not None and _UNSTORABLE.search(error.message):
        message = _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", error.message)
        task = replace(task, error=replace(error, message=message))
    return task


def _tell_operator(before: Phase, task: Task) -> None:
    """What a user's answer doesn't explain: a host without a listener has to learn of it too."""
    became, error = _TROUBLE.get(task.phase), task.error
    if became is not None and before is not task.phase and error is not None:
        logger.warning(
            "task %s (%s): %s: %s (%s)", task.id, task.provider, became, error.code, error.detail
        )


@contextmanager
def _bounded_commit(seconds: float) -> Iterator[None]:
    """Out of reach of cancellation, but not for ever."""
    with anyio.move_on_after(seconds, shield=True) as bound:
        yield
    if bound.cancelled_caught:
        raise StorageUnavailable(detail="the commit took too long")


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
