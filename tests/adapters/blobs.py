"""Audio that is too large for every buffer between a store and its listener."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.adapters.frameworks import Served
from ttsorch.contract.signing import LinkSigner
from ttsorch.models import BlobStream
from ttsorch.storage.memory import MemoryBlobStore

_KEY = "ann/long/1.wav"
LARGE = 48 * 1024 * 1024


class WatchedBlobs(MemoryBlobStore):
    """Tells how much of a blob was read, and when one that was opened is closed again."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0
        self.closed = threading.Event()

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        async with super().open(key, start=start, end=end) as blob:
            chunks = self._watched(blob.chunks)
            try:
                yield replace(blob, chunks=chunks)
            finally:
                # The handler opens a blob to see how long it is, too.
                if self.read:
                    self.closed.set()

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self.read += len(chunk)
            yield chunk


def a_large_download(served: Served, secret: bytes) -> str:
    """A link to :data:`LARGE` bytes of silence."""

    async def silence() -> AsyncGenerator[bytes, None]:
        yield bytes(LARGE)

    served.call(lambda: served.world.blobs.put(_KEY, silence(), "audio/wav"))
    return LinkSigner(secret).path(_KEY, now=served.world.clock())
