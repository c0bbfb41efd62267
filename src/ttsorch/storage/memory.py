"""Blobs in the memory of this process: for tests and demos."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ttsorch._keys import checked
from ttsorch.errors import BlobExists, BlobNotFound
from ttsorch.models import BlobInfo, BlobStream, Clock
from ttsorch.storage._reading import Unhurried, span

_CHUNK = 256 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Blob:
    data: bytes
    content_type: str
    info: BlobInfo


class MemoryBlobStore:
    """A :class:`~ttsorch.protocols.BlobStore` that forgets everything when the process ends."""

    def __init__(self, *, clock: Clock = _utc_now) -> None:
        self._clock = clock
        self._blobs: dict[str, _Blob] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        checked(key)
        data = b"".join([chunk async for chunk in chunks])
        if key in self._blobs:
            raise BlobExists
        info = BlobInfo(key, len(data), self._clock())
        self._blobs[key] = _Blob(data, content_type, info)
        return info

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        blob = self._blobs.get(checked(key))
        if blob is None:
            raise BlobNotFound
        begin, stop = span(start, end, len(blob.data))
        pieces = (blob.data[at : min(at + _CHUNK, stop)] for at in range(begin, stop, _CHUNK))
        yield BlobStream(Unhurried(pieces), len(blob.data), blob.content_type)

    async def url(self, key: str, *, expires_in: float) -> str | None:
        checked(key)
        return None

    async def delete(self, key: str) -> None:
        self._blobs.pop(checked(key), None)

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        return Unhurried([blob.info for key, blob in self._blobs.items() if key.startswith(prefix)])

    async def aclose(self) -> None:
        """Nothing to close: what is stored stays readable."""
