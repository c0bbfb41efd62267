"""A PostgreSQL store that can be called from any event loop, for tests that start one for every step.

The store itself runs on one loop, in a thread. Its pool has a single connection, so that statements run in
the order in which they were asked for, as the machine for orchestrators wants it.
"""

import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import cast

import anyio
from anyio.from_thread import start_blocking_portal

from ttsorch.models import Clock
from ttsorch.store import TaskAndVoiceStore
from ttsorch.store._wakeup import running_loop
from ttsorch.store.postgres import PostgresTaskStore


class _OnItsOwnLoop:
    def __init__(self, url: str, clock: Clock) -> None:
        self._resources = ExitStack()
        self._portal = self._resources.enter_context(start_blocking_portal())
        opening = partial(PostgresTaskStore.open, url, clock=clock, pool_size=1)
        self._store = self._portal.call(opening)

    def __getattr__(self, name: str) -> object:
        member = getattr(self._store, name)
        return partial(self._call, member) if inspect.iscoroutinefunction(member) else member

    async def aclose(self) -> None:
        await self._call(self._store.aclose)
        self._resources.close()

    async def _call(
        self, member: Callable[..., Awaitable[object]], *args: object, **kwargs: object
    ) -> object:
        done, schedule = anyio.Event(), running_loop()
        future = self._portal.start_task_soon(partial(member, *args, **kwargs))
        future.add_done_callback(partial(_tell, schedule, done))
        await done.wait()
        return future.result()


def _tell(
    schedule: Callable[[Callable[[], object]], object], done: anyio.Event, _: Future[object]
) -> None:
    try:
        schedule(done.set)
    except RuntimeError:
        pass  # that loop has ended


def on_its_own_loop(url: str, clock: Clock) -> TaskAndVoiceStore:
    return cast(TaskAndVoiceStore, _OnItsOwnLoop(url, clock))
