"""Work in a task of its own, which its caller's cancellation can't reach.

httpx 0.28 loses pool slots when a request is cancelled, and a paid call must not be torn down by a client
that went away. A shielded scope would not do: it keeps the caller waiting, and native asyncio cancellation
ignores it. A task group would have to be entered, and a provider is a plain object with ``aclose``.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

Result = TypeVar("Result")


class _Job(Generic[Result]):
    """One piece of work. ``results`` holds at most one item, and none when it was stopped."""

    def __init__(self, work: Callable[[], Awaitable[Result]]) -> None:
        self.work = work
        self.done = anyio.Event()
        self.scope = anyio.CancelScope()
        self.results: list[Result] = []
        self.error: Exception | None = None
        self.task: object = None


class Detached:
    """Runs work so that cancelling the caller leaves it alone. Bounding the work is the work's own part."""

    def __init__(self) -> None:
        self._jobs: set[_Job[Any]] = set()

    async def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """What ``work`` returns or raises. A caller that is cancelled returns at once; the work goes on.

        Raises:
            anyio.ClosedResourceError: :meth:`aclose`, or the end of the event loop, stopped the work.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        job: _Job[Result] = _Job(work)
        self._jobs.add(job)
        job.task = _spawn(lambda: self._carry(job))
        await job.done.wait()
        if job.error is not None:
            raise job.error
        if not job.results:
            raise anyio.ClosedResourceError
        return job.results[0]

    async def aclose(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for what is under way, then stop it. Not itself cancelled."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(grace):
                await self._all_done()
            for job in self._jobs:
                job.scope.cancel()
            await self._all_done()

    async def _all_done(self) -> None:
        for job in list(self._jobs):
            await job.done.wait()

    async def _carry(self, job: _Job[Result]) -> None:
        try:
            with job.scope:
                job.results.append(await job.work())
        except Exception as error:  # noqa: BLE001  # raised again where it is awaited, in run
            job.error = error
        finally:
            self._jobs.discard(job)
            job.done.set()


def _spawn(work: Callable[[], Coroutine[None, None, None]]) -> object:
    """Start a task that belongs to the event loop alone; keep what is returned until it is done."""
    if "trio" in sys.modules:
        import trio

        if trio.lowlevel.in_trio_task():
            return trio.lowlevel.spawn_system_task(work, context=copy_context())
    return asyncio.get_running_loop().create_task(work())
