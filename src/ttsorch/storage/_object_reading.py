"""A bucket's blobs as they are read and listed, for :mod:`ttsorch.storage.object`."""

from collections.abc import AsyncIterator

import obstore

from ttsorch._keys import is_key
from ttsorch.errors import BlobNotFound, StorageUnavailable
from ttsorch.models import BlobInfo
from ttsorch.storage._object_bucket import (
    OBSTORE_ERRORS,
    Bucket,
    failure_of,
    need_asyncio,
    no_bucket,
)

_READ_CHUNK = 256 * 1024
_PAGE = 1000


class Chunks(AsyncIterator[bytes]):
    """The bytes of a blob from ``at`` up to ``stop``, asked for when the first is wanted: who only looks
    at the size of a blob costs no transfer."""

    def __init__(self, bucket: Bucket, name: str, key: str, at: int, stop: int) -> None:
        self._bucket = bucket
        self._name = name
        self._key = key
        self._at = at
        self._stop = stop
        self._stream: obstore.BytesStream | None = None
        self._closed = False

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StorageUnavailable(detail="the blob is no longer open")
        if self._at == self._stop:
            raise StopAsyncIteration
        try:
            chunk = await self._next()
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=BlobNotFound())
        else:
            self._at += len(chunk)
            return chunk
        raise failure

    async def _next(self) -> bytes:
        if self._stream is None:
            answer = await obstore.get_async(
                self._bucket, self._key, options={"range": (self._at, self._stop)}
            )
            self._stream = answer.stream(min_chunk_size=_READ_CHUNK)
        async for chunk in self._stream:
            return bytes(chunk[: self._stop - self._at])
        raise OSError("a blob is shorter than it was")

    def close(self) -> None:
        """Let go of the connection: it is closed with the last reference to its stream."""
        self._closed = True
        self._stream = None


class Listing(AsyncIterator[BlobInfo]):
    """A page at a time. obstore lists whole folders, so the end of the prefix is compared here; what isn't
    a key of ours is somebody else's."""

    def __init__(self, bucket: Bucket, name: str, prefix: str) -> None:
        self._name = name
        self._prefix = prefix
        folder = prefix.rpartition("/")[0]
        self._pages = obstore.list(bucket, folder or None, chunk_size=_PAGE)
        self._found: list[BlobInfo] = []

    async def __anext__(self) -> BlobInfo:
        need_asyncio()
        while not self._found:
            self._found = await self._next_page()
        return self._found.pop()

    async def _next_page(self) -> list[BlobInfo]:
        try:
            page = await anext(self._pages)
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=no_bucket())
        else:
            return [
                BlobInfo(entry["path"], entry["size"], entry["last_modified"])
                for entry in page
                if entry["path"].startswith(self._prefix) and is_key(entry["path"])
            ]
        raise failure
