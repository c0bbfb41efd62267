"""What keeps audio."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ttsorch.models import (
    BlobInfo,
    BlobStream,
)


class BlobStore(Protocol):
    """Bytes under keys. A blob is immutable: it appears whole or not at all, and is never rewritten.

    Keys come from :mod:`ttsorch._keys`; any other key is refused with
    :class:`~ttsorch.errors.ValidationError` before anything is touched.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        """Store all chunks, or nothing: when ``chunks`` raises, or this is cancelled, no trace is left.

        Raises:
            BlobExists: the key is taken; the blob there is unchanged.
            StorageUnavailable: it could not be stored (a full disk, say); no trace is left.
        """
        ...

    def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AbstractAsyncContextManager[BlobStream]:
        """Read the bytes from ``start`` up to but not including ``end``; an end past the blob's is cut.

        Raises (on entering):
            BlobNotFound: there is no such blob.
        """
        ...

    async def url(self, key: str, *, expires_in: float) -> str | None:
        """A URL that anybody can read the blob at for ``expires_in`` seconds, or None when this store
        can't make one; then the contract's media route serves it."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a blob; harmless when there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """All blobs whose key begins with ``prefix``, in no particular order."""
        ...

    async def aclose(self) -> None:
        """Close what this store opened. Harmless when repeated."""
        ...
