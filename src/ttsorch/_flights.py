"""Work that its caller can't interrupt: one flight per key and process, joined by who wants the same.

A step that has begun may be holding a paid call or a half-written transition. So steps run in a task group
of the orchestrator; callers wait beside them, and a caller that is cancelled leaves the flight alone. That
one mechanism gives the shield around every exchange, and lets many polls of one task share one check.
"""

import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from ttsorch.errors import InternalError, TtsorchError

logger = logging.getLogger("ttsorch")

Result = TypeVar("Result")


class _Flight(Generic[Result]):
    """One piece of work on its way. ``result`` stays None when it was stopped or failed."""

    def __init__(self) -> None:
        self.landed = anyio.Event()
        # Shielded from every scope around the orchestrator; only its own `cancel` reaches it.
        self.scope = anyio.CancelScope(shield=True)
        self.result: Result | None = None
        self.error: TtsorchError | None = None
        self.awaited = False


class Flights(Generic[Result]):
    """An async context manager. On leaving, flights get ``grace`` seconds to land, then are cancelled."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._group: TaskGroup | None = None
        self._flights: dict[str, _Flight[Result]] = {}

    async def __aenter__(self) -> "Flights[Result]":
        self._group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        group = self._running_group()
        try:
            with anyio.move_on_after(self._grace if exc is None else 0, shield=True):
                for flight in list(self._flights.values()):
                    await flight.landed.wait()
        finally:
            # Also when asyncio's own Task.cancel cut the wait short, which no shield keeps out.
            for flight in self._flights.values():
                flight.scope.cancel()
            self._group = None
            # Flights never raise, so the caller's own exception goes on, in no exception group.
            await group.__aexit__(None, None, None)

    async def share(self, key: str, work: Callable[[], Awaitable[Result]]) -> Result | None:
        """The result of the flight under ``key``: of the one under way, else of ``work``, started now.

        None when the flight was stopped. Cancelling this call doesn't touch the flight.

        Raises:
            TtsorchError: what the work raised; anything unexpected as InternalError.
        """
        flight = self._flights.get(key) or self._launch(key, work)
        flight.awaited = True
        await flight.landed.wait()
        if flight.error is not None:
            raise flight.error
        return flight.result

    def start(self, key: str, work: Callable[[], Awaitable[Result]]) -> None:
        """Begin ``work`` unless a flight is under way under ``key``. What it raises is logged."""
        if key not in self._flights:
            self._launch(key, work)

    def stop(self, key: str) -> None:
        """Cancel the flight under ``key``, if there is one."""
        if flight := self._flights.get(key):
            flight.scope.cancel()

    def _running_group(self) -> TaskGroup:
        if self._group is None:
            raise InternalError(
                "The orchestrator is not running.",
                code="not_running",
                detail="use it as `async with Orchestrator(...)`",
            )
        return self._group

    def _launch(self, key: str, work: Callable[[], Awaitable[Result]]) -> _Flight[Result]:
        group = self._running_group()
        flight = self._flights[key] = _Flight[Result]()
        group.start_soon(self._fly, key, flight, work)
        return flight

    async def _fly(
        self, key: str, flight: _Flight[Result], work: Callable[[], Awaitable[Result]]
    ) -> None:
        try:
            with flight.scope:
                flight.result = await work()
        except TtsorchError as error:
            flight.error = error
        except Exception as error:
            flight.error = InternalError(detail=type(error).__name__)
            flight.error.__cause__ = error
            logger.exception("unexpected error in %s", key)
        finally:
            del self._flights[key]
            flight.landed.set()
        told = flight.awaited or isinstance(flight.error, InternalError)
        if flight.error is not None and not told:
            logger.warning("%s: %s (%s)", key, flight.error.code, flight.error.detail)
