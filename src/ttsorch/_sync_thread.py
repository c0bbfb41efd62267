"""What runs in the thread of a :class:`~ttsorch.sync.SyncOrchestrator`."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Thread
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from ttsorch.errors import InternalError
from ttsorch.orchestrator import Orchestrator

T = TypeVar("T")

Backend: TypeAlias = Literal["asyncio", "trio"]


class LoopThread:
    """An event loop in a thread of its own, and the way into it: anyio's ``start_blocking_portal``, but that
    only leaving it ends it. That one also ends it when it is collected, which in the child of a fork waits
    for ever, since the thread was left behind in the parent."""

    def __init__(self, backend: Backend) -> None:
        self._portal: Future[BlockingPortal] = Future()
        self._thread = Thread(target=self._run, args=(backend,), name="ttsorch-loop", daemon=True)

    def __enter__(self) -> BlockingPortal:
        self._thread.start()
        return self._portal.result()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        portal = self._portal.result()
        try:
            portal.call(portal.stop, exc is not None)
        except RuntimeError:
            pass  # the loop has ended by itself
        finally:
            self._thread.join()

    def _run(self, backend: Backend) -> None:
        try:
            anyio.run(self._serve, backend=backend)
        except BaseException as error:
            if self._portal.done():
                raise
            self._portal.set_exception(error)

    async def _serve(self) -> None:
        async with BlockingPortal() as portal:
            self._portal.set_result(portal)
            await portal.sleep_until_stopped()


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
