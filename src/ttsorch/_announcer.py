"""Tells the listeners, beside the work and in order, so that a slow one holds nothing up."""

import logging
from collections.abc import Sequence

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ttsorch.models import Job, Phase, Transition
from ttsorch.protocols import Listener

logger = logging.getLogger("ttsorch")

#: So many transitions wait for listeners at most. A listener that never comes back must not fill the memory.
_MOST_WAITING = 10_000


class Announcer:
    """A queue of transitions that are committed already; :meth:`deliver` empties it until :meth:`close`. What
    comes while it is full is never told, which the protocol allows, and the log says so."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._send: MemoryObjectSendStream[Transition] | None = None
        self._full = False

    def open(self) -> MemoryObjectReceiveStream[Transition]:
        """Begin to take announcements; the other end of the queue."""
        self._send, receive = anyio.create_memory_object_stream[Transition](_MOST_WAITING)
        return receive

    def announce(self, before: Phase | None, job: Job) -> None:
        if not self._listeners or self._send is None:
            return
        try:
            self._send.send_nowait(Transition(before, job))
            self._full = False
        except anyio.WouldBlock:
            if not self._full:
                logger.error("a listener is too slow: transitions are not told")
            self._full = True

    async def deliver(self, receive: MemoryObjectReceiveStream[Transition]) -> None:
        """Until the queue is closed and empty. A listener that raises is logged and keeps nobody else."""
        async with receive:
            async for transition in receive:
                for listener in self._listeners:
                    await _tell(listener, transition)

    def close(self) -> None:
        """Take no more; what is in the queue is still delivered."""
        if self._send is not None:
            self._send.close()
            self._send = None


async def _tell(listener: Listener, transition: Transition) -> None:
    try:
        await listener(transition)
    except Exception:
        logger.exception("a listener failed")
