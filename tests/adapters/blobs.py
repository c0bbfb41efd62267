"""Audio that is too large for every buffer between a store and its listener."""

import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from tests.adapters.frameworks import Served
from tests.contract.world import World
from ttsorch.contract.signing import LinkSigner
from ttsorch.models import BlobStream
from ttsorch.storage.memory import MemoryBlobStore

_KEY = "ann/long/1.wav"
LARGE = 48 * 1024 * 1024


class WatchedBlobs(MemoryBlobStore):
    """Tells how much of a blob was read, and when one that was opened is closed again."""

    def __init__(self, *, breaks_after: int | None = None) -> None:
        super().__init__()
        self.breaks_after = breaks_after
        self.read = 0
        self.closed = threading.Event()

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        async with super().open(key, start=start, end=end) as blob:
            try:
                async with aclosing(self._watched(blob.chunks)) as chunks:
                    yield replace(blob, chunks=chunks)
            finally:
                # The handler opens a blob to see how long it is, too.
                if self.read:
                    self.closed.set()

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self.read += len(chunk)
            yield chunk
            if self.breaks_after is not None and self.read >= self.breaks_after:
                raise OSError("the disk is gone")


def a_large_download(served: Served, secret: bytes) -> str:
    """A link to :data:`LARGE` bytes of silence."""
    served.call(lambda: put_large(served.world))
    return large_link(served.world, secret)


async def put_large(world: World) -> None:
    async def silence() -> AsyncGenerator[bytes, None]:
        yield bytes(LARGE)

    await world.blobs.put(_KEY, silence(), "audio/wav")


def large_link(world: World, secret: bytes) -> str:
    return LinkSigner(secret).path(_KEY, now=world.clock())
