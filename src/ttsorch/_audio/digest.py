"""SHA-256 of what passes, beside the reading: of 100 MB it takes as long as all that a disk needs."""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor

from anyio.to_thread import run_sync

# A hop to the thread costs as much as hashing some 10 KiB; what is being hashed is in memory.
_BATCH = 256 * 1024


class Digest:
    """Hashes one batch in a thread of its own while the next one is on its way. What fits into one batch is
    hashed where it is, and has no thread; an idle thread ends with the digest."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._batch: list[bytes] = []
        self._size = 0
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[None] | None = None

    async def add(self, chunk: bytes) -> None:
        """Take the next bytes; wait if the thread is a whole batch behind."""
        self._batch.append(chunk)
        self._size += len(chunk)
        if self._size >= _BATCH:
            await self._caught_up()
            batch, self._batch, self._size = self._batch, [], 0
            self._thread = self._thread or ThreadPoolExecutor(1, "ttsorch-sha256")
            self._under_way = self._thread.submit(self._take, batch)

    async def end(self) -> None:
        """No more bytes will come."""
        await self._caught_up()
        self._take(self._batch)
        self._batch = []
        if self._thread is not None:
            self._thread.shutdown(wait=False)

    def hexdigest(self) -> str:
        """Of everything; only after :meth:`end`."""
        return self._hash.hexdigest()

    async def _caught_up(self) -> None:
        if self._under_way is not None and not self._under_way.done():
            await run_sync(self._under_way.result)

    def _take(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._hash.update(chunk)
