"""An upload in a task of its own: fed by its caller, and never torn down half way.

An upload that is simply cancelled leaves behind what only its own end would clear away: the parts of a
multipart upload, or a blob whose answer nobody heard. Here a caller that goes away makes the *bytes* fail
instead, and waits, though not for ever, until the upload has ended by itself.
"""

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from ttsorch.errors import StorageUnavailable

logger = logging.getLogger("ttsorch")

#: In bytes. A hand-over between two tasks costs as much as copying some 10 KiB.
BLOCK = 256 * 1024


class Abandoned(Exception):
    """What the bytes raise when whoever gave them went away. No caller ever sees it."""


@dataclass
class _Upload:
    """What became of it. ``stored`` is set only when it is certain."""

    scope: anyio.CancelScope = field(default_factory=lambda: anyio.CancelScope(shield=True))
    done: anyio.Event = field(default_factory=anyio.Event)
    stored: bool = False
    error: Exception | None = None


async def carry(
    upload: Callable[[AsyncIterator[bytes]], Awaitable[None]],
    chunks: AsyncIterator[bytes],
    undo: Callable[[], Awaitable[None]],
    *,
    patience: float,
) -> None:
    """Run ``upload`` with the bytes of ``chunks``, which are asked for here and not in its task. When the
    chunks fail or the caller is cancelled, wait up to ``patience`` seconds for it to end, and ``undo`` what
    it stored all the same.

    Raises:
        Exception: what ``chunks`` raised, unchanged; else what ``upload`` raised.
    """
    running = _Upload()
    pipe = _Pipe()
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_run, upload, pipe, running)
            try:
                await pipe.feed(chunks)
                await running.done.wait()
            except Exception as error:  # noqa: BLE001  # raised below, so that no group wraps it
                failure = error
            finally:
                pipe.close()
                if not running.done.is_set():
                    running.scope.deadline = anyio.current_time() + patience
        if failure is not None:
            raise failure
    except BaseException:
        if running.stored:
            await sheltered(undo, patience)
        raise
    if running.error is not None:
        raise running.error


async def sheltered(work: Callable[[], Awaitable[None]], patience: float) -> None:
    """Clean up, for up to ``patience`` seconds, whoever is cancelled meanwhile and however often: asyncio's
    own cancel goes through a shield, but not into another task."""

    async def run() -> None:
        with anyio.move_on_after(patience, shield=True):
            try:
                await work()
            except StorageUnavailable as error:
                logger.warning("a blob that nobody wants stays: %s", error.code)

    async with anyio.create_task_group() as group:
        group.start_soon(run)


async def _run(
    upload: Callable[[AsyncIterator[bytes]], Awaitable[None]], pipe: "_Pipe", running: _Upload
) -> None:
    try:
        with running.scope:
            await upload(pipe)
            running.stored = True
        if running.scope.cancelled_caught:
            running.error = StorageUnavailable(detail="an upload was given up and did not end")
    except Exception as error:  # noqa: BLE001  # raised where it is awaited, in carry
        running.error = error
    finally:
        running.done.set()
        pipe.leave()


class _Pipe(AsyncIterator[bytes]):
    """One block at a time from the task that has the bytes to the one that sends them."""

    def __init__(self) -> None:
        self._source, self._drain = anyio.create_memory_object_stream[bytes](0)
        self._whole = False

    async def __anext__(self) -> bytes:
        try:
            return await self._drain.receive()
        except anyio.EndOfStream:
            pass
        if self._whole:
            raise StopAsyncIteration
        raise Abandoned

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Hand over all of ``chunks``, until nobody takes any more."""
        block = bytearray()
        try:
            async for chunk in chunks:
                block += chunk
                if len(block) >= BLOCK:
                    full, block = bytes(block), bytearray()
                    await self._source.send(full)
                    del full
            if block:
                await self._source.send(bytes(block))
        except anyio.BrokenResourceError:
            return
        self._whole = True
        self._source.close()

    def close(self) -> None:
        """No more bytes will come: their end, if :meth:`feed` came to it, else a failure."""
        self._source.close()

    def leave(self) -> None:
        """Nobody takes any more bytes."""
        self._drain.close()


class Beginning(AsyncIterator[bytes]):
    """Chunks of which the first ``limit`` bytes are read ahead, to see whether there are more."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._ahead: deque[bytes] = deque()
        self.size = 0

    async def whole(self) -> bytes | None:
        """All of the bytes; None if there are more than the limit: then read on from here."""
        block = bytearray()
        async for chunk in self._chunks:
            self.size += len(chunk)
            block += chunk
            if len(block) >= BLOCK:
                self._ahead.append(bytes(block))
                block = bytearray()
            if self.size > self._limit:
                self._ahead.append(bytes(block))
                return None
        self._ahead.append(bytes(block))
        return b"".join(self._ahead)

    async def __anext__(self) -> bytes:
        if self._ahead:
            return self._ahead.popleft()
        chunk = await anext(self._chunks)
        self.size += len(chunk)
        return chunk
