"""What runs in the thread of a :class:`~ttsorch.sync.SyncOrchestrator`."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from ttsorch.errors import InternalError
from ttsorch.orchestrator import Orchestrator

T = TypeVar("T")


class Service:
    """The loop's side: lives on its thread alone, so calls can't slip past a close."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._closing = anyio.Event()
        self._calls: set[anyio.CancelScope] = set()

    async def attend(self, call: Callable[[Orchestrator], Awaitable[T]]) -> T:
        with anyio.CancelScope() as scope:
            if not self._closing.is_set():
                self._calls.add(scope)
                try:
                    return await call(self._orchestrator)
                finally:
                    self._calls.discard(scope)
        raise not_running("it was closed meanwhile")

    async def until_closed(self) -> None:
        """Return once it is to close, when no call is waiting for anything any more."""
        try:
            await self._closing.wait()
        finally:
            self.close()
            for scope in self._calls:
                scope.cancel()

    def close(self) -> None:
        self._closing.set()


@dataclass(frozen=True, slots=True)
class Running:
    """What there is between :meth:`.SyncOrchestrator.start` and :meth:`.SyncOrchestrator.close`."""

    orchestrator: Orchestrator
    service: Service
    portal: BlockingPortal
    serving: "Future[None]"
    thread: ExitStack
    process: int


def not_running(detail: str) -> InternalError:
    return InternalError("The orchestrator is not running.", code="not_running", detail=detail)
