"""Faults on demand: every call that the orchestrator makes to a store, a blob store or a provider is a
numbered place at which a test can break it.

``faulty(port, plan)`` wraps any of them. A plan breaks the n-th place in one of these ways:

========== ===========================================================================================
crash      the process dies there: no clean-up code reaches any port any more
error      the call fails before it had any effect
reply lost the call has its effect, then fails
cancel     the calling task is cancelled there
========== ===========================================================================================

Running the same scenario with n = 1, 2, 3, … until a run gets through untouched is an exhaustive crash test
(the idea is SQLite's, https://www.sqlite.org/testing.html).
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Generic, TypeVar, cast

import anyio

from ttsorch.errors import ProviderUnavailable, StorageUnavailable, TtsorchError
from ttsorch.models import AudioStream

Port = TypeVar("Port")
T = TypeVar("T")


class Crash(BaseException):
    """The process died. Not an Exception: nothing may handle it."""


class Fault(StrEnum):
    """How a place breaks."""

    CRASH = "crash"
    ERROR = "error"
    REPLY_LOST = "reply lost"
    CANCEL = "cancel"


class FaultPlan:
    """Breaks the ``at``-th place (counted from 1) once. ``at`` 0 breaks nothing."""

    def __init__(self, fault: Fault = Fault.CRASH, at: int = 0) -> None:
        self.fault = fault
        self.at = at
        self.places = 0
        self.broken: str | None = None
        self.dead = False
        self.scope: anyio.CancelScope | None = None

    @property
    def struck(self) -> bool:
        """Whether the fault has happened."""
        return self.broken is not None

    async def call(self, name: str, call: Callable[[], Awaitable[T]], error: TtsorchError) -> T:
        """Make one call through this plan."""
        self._check_alive()
        self.places += 1
        if self.places != self.at:
            result = await call()
            self._check_alive()
            return result
        self.broken = name
        if self.fault is Fault.CRASH:
            self.dead = True
            raise Crash
        if self.fault is Fault.CANCEL and self.scope is not None:
            self.scope.cancel()
            await anyio.lowlevel.checkpoint()
            return await call()
        if self.fault is Fault.REPLY_LOST:
            await call()
        raise error

    def _check_alive(self) -> None:
        if self.dead:
            raise Crash


#: The methods of a provider's optional powers, by which they are found.
_POWERS = ("voices", "check_request", "clone", "design")
#: The calls that may have been accepted when they broke.
_PAID = ("submit", "clone", "design")


class _Faulty(Generic[Port]):
    def __init__(self, port: Port, plan: FaultPlan) -> None:
        self._port = port
        self._plan = plan
        # An isinstance of a protocol doesn't see what only __getattr__ knows (Python 3.12 and later).
        for power in _POWERS:
            if hasattr(port, power):
                setattr(self, power, self.__getattr__(power))

    def __getattr__(self, name: str) -> object:
        member = getattr(self._port, name)
        if inspect.iscoroutinefunction(member):
            return self._call(name, member)
        if name in ("fetch", "open"):
            return self._reading(name, member)
        return member

    def _call(
        self, name: str, member: Callable[..., Awaitable[object]]
    ) -> Callable[..., Awaitable[object]]:
        async def call(*args: object, **kwargs: object) -> object:
            return await self._plan.call(name, lambda: member(*args, **kwargs), _error_of(name))

        return call

    def _reading(
        self, name: str, member: Callable[..., AbstractAsyncContextManager[AudioStream]]
    ) -> Callable[..., AbstractAsyncContextManager[AudioStream]]:
        @asynccontextmanager
        async def read(*args: object, **kwargs: object) -> AsyncIterator[AudioStream]:
            async with AsyncExitStack() as stack:
                source = member(*args, **kwargs)
                enter = partial(stack.enter_async_context, source)
                stream = await self._plan.call(name, enter, _error_of(name))
                chunks = aclosing(self._chunks(name, stream.chunks))
                yield replace(stream, chunks=await stack.enter_async_context(chunks))

        return read

    async def _chunks(self, name: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        while True:
            try:
                yield await self._plan.call(f"{name} chunk", chunks.__anext__, _error_of(name))
            except StopAsyncIteration:
                return


def _error_of(name: str) -> TtsorchError:
    """What a broken call looks like to its caller. A submit that broke may have been accepted."""
    if name in (*_PAID, "check", "fetch", "cancel"):
        return ProviderUnavailable(ambiguous=name in _PAID, detail=f"injected into {name}")
    return StorageUnavailable(detail=f"injected into {name}")


def faulty(port: Port, plan: FaultPlan) -> Port:
    """``port`` with every call going through ``plan``."""
    return cast(Port, _Faulty(port, plan))
