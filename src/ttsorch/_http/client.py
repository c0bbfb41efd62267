"""One bounded HTTP exchange with a provider: the door through which adapters reach the network.

An exchange ends by its deadline, whatever the server does; reads no more than it may; is never torn down by
a caller that went away; follows no redirect, keeps no cookie, obeys no environment variable and retries
nothing. Every way in which it can fail is one row of :data:`_FATES`.
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType

import anyio
import anyio.lowlevel
import httpx

from ttsorch._http.detached import Detached
from ttsorch._http.discretion import be_discreet, watch_loggers
from ttsorch._http.origin import origin_of
from ttsorch._http.reply import (
    Reply,
)
from ttsorch._http.request import Payload, check_sendable
from ttsorch._http.transport import LineTransport
from ttsorch.errors import ProviderError, ProviderTimeout, ProviderUnavailable

MAX_BODY = 1024 * 1024

# A transport of the host's may know nothing of deadlines; then the exchange is cancelled this much later.
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that one step of an exchange may take without progress; the deadline bounds the whole."""

    connect: float = 5.0
    write: float = 30.0
    read: float = 30.0
    pool: float = 2.0


@dataclass(frozen=True, slots=True)
class _Fate:
    """What the provider's caller is told. ``ambiguous``: the request may have been received."""

    error: type[ProviderError]
    ambiguous: bool
    retryable: bool = True


#: The first row that matches decides (design, decision 2).
_FATES: tuple[tuple[tuple[type[Exception], ...], _Fate], ...] = (
    (
        (httpx.UnsupportedProtocol, httpx.LocalProtocolError),
        _Fate(ProviderUnavailable, ambiguous=False, retryable=False),
    ),
    (
        (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
        _Fate(ProviderUnavailable, ambiguous=False),
    ),
    ((httpx.TimeoutException, TimeoutError), _Fate(ProviderTimeout, ambiguous=True)),
    ((Exception,), _Fate(ProviderUnavailable, ambiguous=True)),
)


class ReplyTooLarge(Exception):
    """More bytes than the caller is ready to hold."""


class HttpClient:
    """Exchanges with one provider, at most ``max_connections`` at a time.

    Create one per provider and keep it; it belongs to the event loop of its first exchange. A
    ``transport``, or a whole ``http`` client (for its proxies and certificates: its headers, cookies and
    credentials are not used), stays the caller's to close; with either, ``fresh_connection`` is up to it.
    ``aclose`` gives exchanges under way ``grace`` seconds to end.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts | None = None,
        max_connections: int = 100,
        ssl_context: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        http: httpx.AsyncClient | None = None,
        grace: float = 5.0,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self._grace = grace
        self._http = http
        self._own: LineTransport | None = None
        if http is not None:
            self._transport: httpx.AsyncBaseTransport = _ThroughClient(http)
        elif transport is not None:
            self._transport = transport
        else:
            self._own = LineTransport(max_connections=max_connections, ssl_context=ssl_context)
            self._transport = self._own
        self._exchanges = Detached()
        self._loop: anyio.lowlevel.EventLoopToken | None = None
        self._closed = False
        watch_loggers()

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what is under way, then close what this client opened. Harmless when repeated."""
        self._closed = True
        await self._exchanges.aclose(self._grace)
        if self._own is not None:
            await self._own.aclose()

    async def exchange(
        self,
        request: httpx.Request,
        *,
        deadline: float,
        max_body: int = MAX_BODY,
        read_timeout: float | None = None,
        fresh_connection: bool = False,
    ) -> Reply:
        """Send ``request`` once, and read the whole answer, whatever its status.

        ``deadline`` is in seconds from now. ``read_timeout`` replaces the client's for a server that is
        silent for long while it works. A call that costs money wants a ``fresh_connection``: on a reused
        one, a server that closes it for being idle looks like a server that died with our request.

        Cancelling this call returns at once, and leaves the exchange to its own end.

        Raises:
            ProviderUnavailable, ProviderTimeout: ``ambiguous`` unless it is certain that the request
                never reached the server. ``detail`` has the kind of failure and the origin only.
        """
        if self._closed or (self._http is not None and self._http.is_closed):
            raise ProviderUnavailable(detail="the HTTP client is closed")
        if deadline <= 0:
            raise ProviderTimeout(detail="no time was left to send the request", ambiguous=False)
        self._stay_on_one_loop()
        check_sendable(request)
        ends_at = time.monotonic() + deadline
        prepared = self._prepared(request, deadline, read_timeout)
        prepared.extensions.update(deadline=ends_at, fresh_connection=fresh_connection)
        try:
            return await self._exchanges.run(partial(self._perform, prepared, ends_at, max_body))
        except anyio.ClosedResourceError:
            detail = f"stopped with the HTTP client, at {origin_of(request.url)}"
        raise ProviderUnavailable(detail=detail, ambiguous=True)

    def _stay_on_one_loop(self) -> None:
        here = anyio.lowlevel.current_token()
        if self._loop is None:
            self._loop = here
        if self._loop != here:
            raise RuntimeError("an HttpClient can't move to another event loop; create a new one")

    def _prepared(
        self, request: httpx.Request, deadline: float, read_timeout: float | None
    ) -> httpx.Request:
        """A copy with its body in memory, since the caller may send the same request again."""
        headers = httpx.Headers(request.headers)
        headers["accept-encoding"] = "identity"
        headers.setdefault("accept", "*/*")
        headers.setdefault("user-agent", "ttsorch")
        steps = {
            "connect": self._timeouts.connect,
            "write": self._timeouts.write,
            "read": self._timeouts.read if read_timeout is None else read_timeout,
            "pool": self._timeouts.pool,
        }
        timeout = {step: min(limit, deadline) for step, limit in steps.items()}
        return httpx.Request(
            request.method,
            request.url,
            headers=headers,
            stream=Payload(request.read()),
            extensions={"timeout": timeout},
        )

    async def _perform(self, request: httpx.Request, ends_at: float, max_body: int) -> Reply:
        be_discreet()
        try:
            with anyio.fail_after(ends_at - time.monotonic() + _PATIENCE):
                return await _whole_reply(
                    await self._transport.handle_async_request(request), request, ends_at, max_body
                )
        except Exception as error:  # noqa: BLE001  # raised as ours, three lines on
            failure = _failure(error, request.url)
        # Raised here, and not in the handler, so that no reference leads to an exception that holds URLs.
        raise failure


class _ThroughClient(httpx.AsyncBaseTransport):
    """A client of the host's as a transport. Our own is asked directly: a client around it would add a log
    line, a cookie jar and its own reading of Location."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._http.send(request, stream=True, auth=None, follow_redirects=False)


async def _whole_reply(
    response: httpx.Response, request: httpx.Request, ends_at: float, max_body: int
) -> Reply:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport isn't asynchronous")
    try:
        body = await _read(stream, ends_at, max_body)
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
    headers = MappingProxyType(dict(response.headers.items()))
    return Reply(response.status_code, headers, body, str(request.url))


async def _read(stream: AsyncIterable[bytes], ends_at: float, max_body: int) -> bytes:
    body = bytearray()
    chunks = aiter(stream)
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > max_body:
                raise ReplyTooLarge
            if time.monotonic() > ends_at:
                raise TimeoutError
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
    return bytes(body)


def _failure(error: Exception, url: httpx.URL) -> ProviderError:
    fate = next(fate for kinds, fate in _FATES if isinstance(error, kinds))
    detail = f"{type(error).__name__} at {origin_of(url)}"
    return fate.error(detail=detail, ambiguous=fate.ambiguous, retryable=fate.retryable)
