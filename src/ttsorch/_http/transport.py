"""An httpx transport that keeps its cost flat under load and its connections to itself.

httpcore's pool looks at every connection for every request, and counts on not being cancelled: at 64
requests in flight it spends most of its time searching, and a request cancelled at the wrong moment takes
its slot along for good. Here each connection is a line of its own, an idle one is taken from the end of a
list, and the count of lines in use is kept by what is raised or returned, so that no slot can be lost.

It understands httpx's ``timeout`` extension and two more:

``deadline``
    a :func:`time.monotonic` value. No socket operation outlasts it, so that a server that answers drop by
    drop is left on time without cancelling anything.
``fresh_connection``
    true: the request travels on a connection that was opened for it (it may be kept for others after).
"""

import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache

import anyio
import h11
import httpcore
import httpx

from ttsorch._http.line import Line, Origin, earlier, origin_key

_HTTPX_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    h11.RemoteProtocolError: httpx.RemoteProtocolError,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteError: httpx.WriteError,
    httpcore.WriteTimeout: httpx.WriteTimeout,
}


@cache
def default_ssl_context() -> ssl.SSLContext:
    """One for the whole process: loading the authorities is what makes a new client 31 times as dear as a
    request. The environment has no say in it."""
    return httpx.create_ssl_context(trust_env=False)


class LineTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over lines: one connection, one request at a time each.

    At most ``max_connections`` requests are under way at once, and no more connections than that wait idle,
    for up to ``keepalive`` seconds each. ``backend`` is the network itself.
    """

    def __init__(
        self,
        *,
        max_connections: int = 100,
        keepalive: float = 15.0,
        ssl_context: ssl.SSLContext | None = None,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._room = anyio.Semaphore(max_connections)
        self._max_idle = max_connections
        self._keepalive = keepalive
        self._ssl_context = ssl_context or default_ssl_context()
        # AnyIO's backend runs on every event loop that we support.
        self._backend = backend or httpcore.AnyIOBackend()
        self._idle: list[Line] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        deadline = request.extensions.get("deadline", math.inf)
        timeouts = request.extensions.get("timeout", {})
        fresh = bool(request.extensions.get("fresh_connection"))
        origin = origin_key(request.url)
        await self._enter(earlier(timeouts.get("pool"), deadline))
        line, stale = self._take(origin, fresh=fresh)
        try:
            await _close_all(stale)
            with _as_httpx_errors():
                head = await line.ask(request)
        except BaseException:
            await self._leave(line)
            raise
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=_Body(line, self._leave),
            extensions={
                "http_version": b"HTTP/" + head.http_version,
                "reason_phrase": head.reason,
            },
        )

    async def aclose(self) -> None:
        """Close what is idle, and let what is under way close when it ends."""
        self._closed = True
        idle, self._idle = self._idle, []
        await _close_all(idle)

    async def _enter(self, patience: float | None) -> None:
        try:
            self._room.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(patience):
                await self._room.acquire()
                return
            raise httpx.PoolTimeout("too many requests are under way") from None

    def _take(self, origin: Origin, *, fresh: bool) -> tuple[Line, list[Line]]:
        """A line for a request, and those that turned out to be of no more use."""
        stale = self._pop_expired()
        line = None if fresh else self._pop_usable(origin, stale)
        return line or Line(origin, self._ssl_context, self._backend), stale

    def _pop_expired(self) -> list[Line]:
        now, expired = time.monotonic(), []
        while self._idle and self._idle[0].idle_until < now:
            expired.append(self._idle.pop(0))
        return expired

    def _pop_usable(self, origin: Origin, stale: list[Line]) -> Line | None:
        """The line used last, as it is the one least likely to have been closed by the server."""
        for index in reversed(range(len(self._idle))):
            line = self._idle[index]
            if line.origin == origin:
                del self._idle[index]
                if not line.hung_up():
                    return line
                stale.append(line)
        return None

    async def _leave(self, line: Line) -> None:
        """The request is over, however it ended."""
        self._room.release()
        surplus = [line]
        if not self._closed and line.ready():
            line.idle_until = time.monotonic() + self._keepalive
            self._idle.append(line)
            surplus = [] if len(self._idle) <= self._max_idle else [self._idle.pop(0)]
        await _close_all(surplus)


class _Body(httpx.AsyncByteStream):
    """The raw bytes of a response, once; closing it ends the request."""

    def __init__(self, line: Line, leave: Callable[[Line], Awaitable[None]]) -> None:
        self._line = line
        self._leave = leave
        self._over = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._over:
            with _as_httpx_errors():
                chunk = await self._line.receive()
            if chunk is not None:
                return chunk
            self._over = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = self._over = True
            await self._leave(self._line)


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except tuple(_HTTPX_ERRORS) as error:
        ours = next(ours for theirs, ours in _HTTPX_ERRORS.items() if isinstance(error, theirs))
        raise ours(str(error)) from error


async def _close_all(lines: list[Line]) -> None:
    if lines:
        with anyio.CancelScope(shield=True):
            for line in lines:
                await line.aclose()
