"""A limit on how much is done at once, whose queue is fair: who has waited longest gets the next slot, but
an owner who had one waits until every other owner who waits has had one too."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel


class FairSlots:
    """``count`` slots, shared by owners in turn."""

    def __init__(self, count: int) -> None:
        self._free = count
        # In the order of their turns: whoever gets a slot goes to the end.
        self._waiting: dict[str, deque[anyio.Event]] = {}

    @asynccontextmanager
    async def slot(self, owner: str) -> AsyncIterator[None]:
        """Wait for one, and hold it."""
        await self._acquire(owner)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, owner: str) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        if self._free > 0:
            self._free -= 1
            return
        granted = anyio.Event()
        self._waiting.setdefault(owner, deque()).append(granted)
        served = False
        try:
            await granted.wait()
            served = True
        finally:
            if not served:
                self._withdraw(owner, granted)

    def _withdraw(self, owner: str, granted: anyio.Event) -> None:
        """Whoever is cancelled in the moment of being served passes the slot on."""
        if granted.is_set():
            self._release()
            return
        queue = self._waiting[owner]
        queue.remove(granted)
        if not queue:
            del self._waiting[owner]

    def _release(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        owner = next(iter(self._waiting))
        queue = self._waiting.pop(owner)
        queue.popleft().set()
        if queue:
            self._waiting[owner] = queue
