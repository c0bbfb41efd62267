"""Blobs as files in a folder. POSIX only: it needs hard links, and folders that can be entered.

The file of a key is ``{root}/{key}``, readable by this user alone. Serve it through the contract's media
route or :meth:`FilesystemBlobStore.open`; the content type follows from the extension.
"""

import errno
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from ttsorch._audio import content_type_of
from ttsorch._keys import checked
from ttsorch.errors import StorageUnavailable
from ttsorch.models import BlobInfo, BlobStream
from ttsorch.storage._folders import remove, scan
from ttsorch.storage._opened_file import OpenedFile
from ttsorch.storage._reading import span
from ttsorch.storage._upload import Upload

Result = TypeVar("Result")

# A thread hop costs as much as writing some 100 KiB, so chunks are gathered first: so many bytes, or
# so many chunks, since a list of tiny ones is larger than what they hold.
_BATCH_BYTES = 1024 * 1024
_BATCH_CHUNKS = 1024
_READ_CHUNK = 256 * 1024
_CLEANUP_SECONDS = 30.0

_FULL = "The blob store's disk is full."
_READ_ONLY = "The blob store's disk can't be written to."
_FORBIDDEN = "The blob store may not use its folder."
_TAMPERED = "Something other than a folder or a file is in the blob store's folder."
_MESSAGES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.ELOOP: _TAMPERED,
    errno.ENOTDIR: _TAMPERED,
}


class FilesystemBlobStore:
    """A :class:`~ttsorch.protocols.BlobStore` in the folder ``root``, which the first put creates.

    A blob is on the disk for good before :meth:`put` returns: file and folders are synced. A file that a
    process left behind when it died is never seen, and :meth:`list` removes it after an hour. ``root``
    itself may be a link; below it none is followed.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).absolute()

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        upload = Upload(self._root, checked(key))
        try:
            await _in_thread(upload.begin)
            await _add_all(upload, chunks)
            info = await _in_thread(upload.publish)
        except BaseException:
            await _discard(upload)
            raise
        upload.close()
        return info

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        file = OpenedFile(self._root, checked(key))
        try:
            size = await _in_thread(file.open)
            chunks = _Chunks(file, *span(start, end, size))
            yield BlobStream(chunks, size, content_type_of(key))
        finally:
            file.close()

    async def url(self, key: str, *, expires_in: float) -> str | None:
        checked(key)
        return None

    async def delete(self, key: str) -> None:
        await _in_thread(partial(remove, self._root, checked(key)))

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        return _Listing(self._root, prefix)

    async def aclose(self) -> None:
        """Nothing to close: no file stays open between two calls."""


class _Chunks(AsyncIterator[bytes]):
    """The bytes of an open file from ``at`` up to ``stop``."""

    def __init__(self, file: OpenedFile, at: int, stop: int) -> None:
        self._file = file
        self._at = at
        self._stop = stop

    async def __anext__(self) -> bytes:
        count = min(_READ_CHUNK, self._stop - self._at)
        if not count:
            raise StopAsyncIteration
        chunk = await _in_thread(partial(self._file.read, count, self._at))
        if not chunk:
            raise StorageUnavailable(detail="a blob's file is shorter than it was")
        self._at += len(chunk)
        return chunk


class _Listing(AsyncIterator[BlobInfo]):
    """One folder after the other, so that only one folder's blobs are held at a time."""

    def __init__(self, root: Path, prefix: str) -> None:
        self._root = root
        self._prefix = prefix
        self._folders = [prefix.rpartition("/")[0]]
        self._found: deque[BlobInfo] = deque()

    async def __anext__(self) -> BlobInfo:
        while not self._found:
            if not self._folders:
                raise StopAsyncIteration
            blobs, folders = await _in_thread(partial(scan, self._root, self._folders.pop()))
            self._found.extend(blob for blob in blobs if blob.key.startswith(self._prefix))
            self._folders += [path for path in folders if f"{path}/".startswith(self._prefix)]
        return self._found.popleft()


async def _add_all(upload: Upload, chunks: AsyncIterator[bytes]) -> None:
    batch: list[bytes] = []
    size = 0
    async for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= _BATCH_BYTES or len(batch) == _BATCH_CHUNKS:
            await _in_thread(partial(upload.add, batch))
            batch = []
            size = 0
    await _in_thread(partial(upload.add, batch))


async def _discard(upload: Upload) -> None:
    try:
        with anyio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await run_sync(upload.discard, abandon_on_cancel=True)
    except BaseException:
        # asyncio's own cancel goes through every shield; it must not cost us the clean-up.
        upload.discard()
        raise


async def _in_thread(work: Callable[[], Result]) -> Result:
    try:
        return await run_sync(work)
    except OSError as error:
        raise StorageUnavailable(
            _MESSAGES.get(error.errno or 0),
            detail=errno.errorcode.get(error.errno or 0, "OSError"),
        ) from error
