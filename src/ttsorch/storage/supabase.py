"""Blobs in a bucket of Supabase Storage, over its HTTP API: no further package is needed.

The service key opens everything in the project. It is sent in headers and shown nowhere.
"""

import math
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import httpx

from ttsorch._download.fetching import Answer
from ttsorch._http import HttpClient, Reply, Timeouts
from ttsorch._http.detached import Detached
from ttsorch._http.discretion import be_discreet, discreetly, watch_loggers
from ttsorch._http.transport import LineTransport
from ttsorch._keys import checked, is_key
from ttsorch.errors import BlobNotFound, ProviderError, StorageUnavailable
from ttsorch.models import BlobInfo, BlobStream
from ttsorch.storage._carrying import carry
from ttsorch.storage._reading import span
from ttsorch.storage._supabase_wire import (
    Found,
    ListedPage,
    build_delete,
    build_download,
    build_info,
    build_list,
    build_sign,
    build_upload,
    parse_supabase_url,
    read_done,
    read_info,
    read_page,
    read_signed_url,
    unanswered,
    verdict,
)

_PAGE = 500
_MAX_REPLY = 4 * 1024 * 1024
#: In seconds: what a caller who is cancelled waits for at most.
_CLEANUP = 30.0


class SupabaseBlobStore:
    """A :class:`~ttsorch.protocols.BlobStore` in a private bucket, which has to exist.

    Args:
        url: ``supabase://PROJECT.supabase.co/bucket/prefix``; the host may be your own server's.
        key: a secret key, or the service role's.
        patience: seconds without any progress after which a request has failed.
        transport: stays the caller's to close.

    Raises:
        ConfigurationError: the URL is of another form, or ``key`` is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        patience: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._bucket = parse_supabase_url(url, key)
        self._patience = patience
        self._own = LineTransport() if transport is None else None
        self._transport: httpx.AsyncBaseTransport = self._own or transport or LineTransport()
        steps = Timeouts(connect=min(5.0, patience), write=patience, read=patience, pool=patience)
        self._http = HttpClient(timeouts=steps, transport=self._transport)
        self._closing = Detached()
        watch_loggers()

    def __repr__(self) -> str:
        return "SupabaseBlobStore()"

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        checked(key)
        counted = _Counted(chunks)
        upload = partial(self._upload, key, content_type, secrets.token_hex(16))
        await carry(upload, counted, partial(self.delete, key), patience=_CLEANUP)
        return BlobInfo(key, counted.size, datetime.now(UTC))

    @asynccontextmanager
    async def open(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[BlobStream]:
        found = await self._look(checked(key))
        chunks = _Chunks(self._ask, key, *span(start, end, found.size), self._patience)
        try:
            yield BlobStream(chunks, found.size, found.content_type)
        finally:
            await chunks.aclose()

    async def url(self, key: str, *, expires_in: float) -> str | None:
        seconds = max(1, math.ceil(expires_in))
        reply = await self._exchange(build_sign(self._bucket, checked(key), seconds))
        return read_signed_url(self._bucket, reply)

    async def delete(self, key: str) -> None:
        reply = await self._exchange(build_delete(self._bucket, checked(key)))
        try:
            read_done(reply)
        except BlobNotFound:
            pass  # harmless, as the protocol promises

    def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        return _Listing(self._page, prefix)

    async def aclose(self) -> None:
        await self._http.aclose()
        await self._closing.aclose(self._patience)
        if self._own is not None:
            await self._own.aclose()

    async def _upload(
        self, key: str, content_type: str, mark: str, body: AsyncIterator[bytes]
    ) -> None:
        failure: StorageUnavailable | None
        try:
            status, told = await self._send(
                build_upload(self._bucket, key, content_type, mark, body)
            )
            failure = verdict(status, told)
        except (httpx.TransportError, TimeoutError) as error:
            failure = StorageUnavailable(detail=f"supabase: {type(error).__name__}")
        if failure is None:
            return
        # The answer may have been lost after the blob was stored. Our mark tells (faults, F33).
        try:
            found = await self._look(key)
        except StorageUnavailable:
            raise failure from None
        if found.mark != mark:
            raise failure

    async def _send(self, request: httpx.Request) -> tuple[int, bytes]:
        be_discreet()
        request.extensions.update(self._steps())
        response = await self._transport.handle_async_request(request)
        answer = Answer(response, request.url, self._closing)
        try:
            body = bytearray()
            while len(body) <= _MAX_REPLY and (chunk := await answer.read(self._patience)):
                body += chunk
        finally:
            await answer.aclose()
        return answer.status, bytes(body)

    async def _ask(self, key: str, start: int, stop: int) -> Answer:
        """The response to a download of a part, whose body is still to come."""
        request = build_download(self._bucket, key, start, stop)
        request.extensions.update(self._steps())
        try:
            with discreetly():
                response = await self._transport.handle_async_request(request)
            answer = Answer(response, request.url, self._closing)
            if answer.status == 206:
                return answer
            try:
                told = await answer.read(self._patience)
            finally:
                await answer.aclose()
        except (httpx.TransportError, TimeoutError) as error:
            failure = StorageUnavailable(detail=f"supabase: {type(error).__name__}")
        else:
            failure = verdict(answer.status, told) or StorageUnavailable(
                detail=f"supabase: a part was asked for, and {answer.status} came"
            )
        raise failure

    def _steps(self) -> dict[str, object]:
        patience = self._patience
        steps = {
            "connect": min(5.0, patience),
            "write": patience,
            "read": patience,
            "pool": patience,
        }
        return {"timeout": steps}

    async def _look(self, key: str) -> Found:
        return read_info(await self._exchange(build_info(self._bucket, key)))

    async def _page(self, prefix: str, cursor: str | None) -> ListedPage:
        request = build_list(self._bucket, prefix, _PAGE, cursor)
        return read_page(self._bucket, await self._exchange(request))

    async def _exchange(self, request: httpx.Request) -> Reply:
        try:
            return await self._http.exchange(
                request, deadline=2 * self._patience, max_body=_MAX_REPLY
            )
        except ProviderError as error:
            failure = unanswered(error)
        raise failure


class _Chunks(AsyncIterator[bytes]):
    """The bytes of a blob from ``at`` up to ``stop``, asked for when the first is wanted: who only looks
    at the size of a blob costs no transfer."""

    def __init__(
        self,
        ask: Callable[[str, int, int], Awaitable[Answer]],
        key: str,
        at: int,
        stop: int,
        patience: float,
    ) -> None:
        self._ask = ask
        self._key = key
        self._at = at
        self._stop = stop
        self._patience = patience
        self._answer: Answer | None = None
        self._closed = False

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StorageUnavailable(detail="the blob is no longer open")
        if self._at == self._stop:
            raise StopAsyncIteration
        if self._answer is None:
            self._answer = await self._ask(self._key, self._at, self._stop)
        try:
            chunk = await self._answer.read(self._patience)
        except (httpx.TransportError, TimeoutError) as error:
            what = type(error).__name__
        else:
            chunk = chunk[: self._stop - self._at]
            self._at += len(chunk)
            if chunk:
                return chunk
            what = "the end of the body"
        await self.aclose()
        raise StorageUnavailable(detail=f"supabase: a blob broke off: {what}")

    async def aclose(self) -> None:
        """Let go of the connection; harmless when repeated."""
        self._closed = True
        if self._answer is not None:
            await self._answer.aclose()


class _Listing(AsyncIterator[BlobInfo]):
    """A page at a time; what isn't a key of ours is somebody else's."""

    def __init__(
        self, page: Callable[[str, str | None], Awaitable[ListedPage]], prefix: str
    ) -> None:
        self._page = page
        self._prefix = prefix
        self._found: list[BlobInfo] = []
        self._cursor: str | None = None
        self._last = False

    async def __anext__(self) -> BlobInfo:
        while not self._found:
            if self._last:
                raise StopAsyncIteration
            page = await self._page(self._prefix, self._cursor)
            self._found = [blob for blob in page.blobs if is_key(blob.key)]
            self._cursor = page.cursor
            self._last = page.cursor is None
        return self._found.pop()


class _Counted(AsyncIterator[bytes]):
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self.size += len(chunk)
        return chunk
