"""Blobs in S3 and what is compatible with it, in Google Cloud Storage, and in Azure Blob Storage.

Through obstore (extra ``object``), whose requests run on threads of their own: it needs asyncio, and this
store does, too. Which guarantee holds where is in ``docs/storage.md``.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import obstore

from ttsorch._audio import content_type_of
from ttsorch._keys import checked
from ttsorch.errors import BlobExists, BlobNotFound, StorageUnavailable
from ttsorch.models import BlobInfo, BlobStream
from ttsorch.storage._carrying import Beginning, carry
from ttsorch.storage._object_bucket import (
    OBSTORE_ERRORS,
    failure_of,
    need_asyncio,
    no_bucket,
    opened,
    told,
)
from ttsorch.storage._object_reading import Chunks, Listing
from ttsorch.storage._object_urls import parse_object_url
from ttsorch.storage._reading import span

logger = logging.getLogger("ttsorch")

#: In bytes. Up to here a blob is one request, which the store itself makes create-only.
ONE_REQUEST = 4 * 1024 * 1024
#: The smallest part that S3 takes; what is in memory at a time is about one of them.
_PART = 5 * 1024 * 1024
#: Longer, no cloud signs for (AWS Signature Version 4, V4 signing of Google).
_LONGEST_LINK = 7 * 86_400.0
#: In seconds: what a caller who is cancelled waits for at most.
_CLEANUP = 30.0
#: In seconds: what obstore's threads need some microseconds of, if they get a processor.
_FAREWELL = 0.1

#: Each put writes its own mark beside the blob, and so knows its own again when an answer was lost. A name
#: that all three clouds take as that of a piece of metadata.
_MARK = "ttsorchput"


@dataclass(frozen=True, slots=True)
class _Found:
    size: int
    content_type: str
    mark: str | None


class ObjectBlobStore:
    """A :class:`~ttsorch.protocols.BlobStore` in a bucket.

    Args:
        url: ``s3://bucket/prefix?endpoint=...``, ``gs://bucket/prefix`` or ``az://container/prefix``.
        credentials: obstore's names for them (``access_key_id``, ``account_key``, ...). What isn't given
            here, obstore looks for where the cloud's own tools do: in the environment, then in the
            metadata service of the machine.
        patience: seconds without any progress after which a request has failed.
        retries: how often a request that a server failed, or that has no effect, is sent again.

    Raises:
        ConfigurationError: the URL is of another form, or a setting is missing or malformed.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Mapping[str, str] | None = None,
        patience: float = 60.0,
        retries: int = 3,
    ) -> None:
        place = parse_object_url(url)
        self._name = place.scheme
        self._signs = place.signed_links
        self._bucket = opened(place, dict(credentials or {}), patience, retries)
        self._used = False

    def __repr__(self) -> str:
        return f"ObjectBlobStore({self._name})"

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        self._begin()
        mark = secrets.token_hex(16)
        beginning = Beginning(chunks, ONE_REQUEST)
        attributes = {"Content-Type": content_type, _MARK: mark}
        data = await beginning.whole() if checked(key) else None
        if data is None:
            upload = partial(self._put_parts, key, attributes)
        else:
            upload = partial(self._put_whole, key, attributes, data)
        rest = beginning if data is None else _Nothing()
        await carry(upload, rest, partial(self._remove, key), patience=_CLEANUP)
        return BlobInfo(key, beginning.size, datetime.now(UTC))

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        self._begin()
        found = await self._look(checked(key))
        chunks = Chunks(self._bucket, self._name, key, *span(start, end, found.size))
        try:
            yield BlobStream(chunks, found.size, found.content_type)
        finally:
            chunks.close()

    async def url(self, key: str, *, expires_in: float) -> str | None:
        self._begin()
        checked(key)
        if not self._signs:
            return None
        lifetime = timedelta(seconds=max(1.0, min(expires_in, _LONGEST_LINK)))
        try:
            return await obstore.sign_async(self._bucket, "GET", key, lifetime)
        except OBSTORE_ERRORS as error:
            # Not all credentials can sign. Then the media route serves the blob, which is only slower.
            logger.warning("no signed link: %s", told(error, self._name))
            return None

    async def delete(self, key: str) -> None:
        self._begin()
        await self._remove(checked(key))

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        self._used = True
        return Listing(self._bucket, self._name, prefix)

    async def aclose(self) -> None:
        """Connections that are idle close by themselves, within seconds. What has to be waited for are
        obstore's threads: they wake the event loop with an answer, and only then let go of Python. A
        process that ends at that very moment is aborted (SIGABRT), and nobody says when it has passed."""
        if self._used:
            self._used = False
            await anyio.sleep(_FAREWELL)

    def _begin(self) -> None:
        need_asyncio()
        self._used = True

    async def _put_whole(
        self, key: str, attributes: dict[str, str], data: bytes, _: AsyncIterator[bytes]
    ) -> None:
        try:
            await obstore.put_async(
                self._bucket, key, data, attributes=attributes, mode="create", use_multipart=False
            )
            return
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=no_bucket())
        await self._unless_stored(key, attributes[_MARK], failure)

    async def _put_parts(
        self, key: str, attributes: dict[str, str], chunks: AsyncIterator[bytes]
    ) -> None:
        """obstore can't make the last request of a multipart upload create-only, so the key is looked at
        before the first part and again after the last."""
        await self._must_be_free(key)
        failure: StorageUnavailable
        try:
            await obstore.put_async(
                self._bucket,
                key,
                _LookingTwice(chunks, partial(self._must_be_free, key)),
                attributes=attributes,
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=1,
            )
            return
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=no_bucket())
        await self._unless_stored(key, attributes[_MARK], failure)

    async def _unless_stored(self, key: str, mark: str, failure: StorageUnavailable) -> None:
        """An answer may be lost after the blob was stored, and what was sent again then finds the key taken
        by itself. The mark tells (faults, F33)."""
        try:
            found = await self._look(key)
        except StorageUnavailable:
            raise failure from None
        if found.mark != mark:
            raise BlobExists if isinstance(failure, BlobExists) else failure

    async def _must_be_free(self, key: str) -> None:
        try:
            await self._look(key)
        except BlobNotFound:
            return
        raise BlobExists

    async def _look(self, key: str) -> _Found:
        try:
            answer = await obstore.get_async(self._bucket, key, options={"head": True})
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=BlobNotFound())
        else:
            attributes = answer.attributes
            content_type = attributes.get("Content-Type") or content_type_of(key)
            return _Found(answer.meta["size"], content_type, attributes.get(_MARK))
        raise failure

    async def _remove(self, key: str) -> None:
        try:
            await obstore.delete_async(self._bucket, key)
            return
        except FileNotFoundError:
            return  # harmless, as the protocol promises
        except OBSTORE_ERRORS as error:
            failure = failure_of(error, self._name, missing=no_bucket())
        raise failure


class _LookingTwice(AsyncIterator[bytes]):
    """``chunks``, and at their end one more look at the key. What the look raises aborts the upload."""

    def __init__(self, chunks: AsyncIterator[bytes], look: Callable[[], Awaitable[None]]) -> None:
        self._chunks = chunks
        self._look = look

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            pass
        await self._look()
        raise StopAsyncIteration


class _Nothing(AsyncIterator[bytes]):
    async def __anext__(self) -> bytes:
        raise StopAsyncIteration
