"""A line: one HTTP/1.1 connection, which carries one request at a time.

h11 knows the grammar, httpcore's backend the network, and here one is read to the other. httpcore's own
connection may be shared by tasks, is traced and can change its protocol; for requests that need none of that
it costs more than the grammar and the network together.

A timeout bounds one socket operation, and a server that answers a byte at a time never meets it. So no
operation here outlasts a deadline for the whole exchange, and nothing has to be cancelled for that.
"""

import logging
import math
import ssl
import time
from collections.abc import AsyncIterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import anyio
import h11
import httpcore
import httpx

#: Scheme, host and port.
Origin: TypeAlias = tuple[str, str, int]

# asyncio hands over as much at once: to ask for less would have the rest copied for each piece of it.
_AT_ONCE = 256 * 1024
_LONGEST_HEAD = 100 * 1024
_PORTS = {"http": 80, "https": 443}

logger = logging.getLogger("ttsorch.http")


class Line:
    """Opened by its first request, to ``origin``. ``idle_until`` is for who keeps it between two requests.

    Whoever is cancelled or met by an error in :meth:`ask` or :meth:`receive` leaves a line that
    is not :meth:`ready` again.

    Raises (all of it):
        httpcore.NetworkError, httpcore.TimeoutException: the network failed, or took too long.
        httpcore.LocalProtocolError: this can't be asked in HTTP/1.1; nothing was sent.
        h11.RemoteProtocolError: the answer isn't HTTP/1.1, or isn't whole.
    """

    def __init__(
        self, origin: Origin, ssl_context: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend
    ) -> None:
        self.origin = origin
        self.idle_until = math.inf
        self._ssl_context = ssl_context
        self._backend = backend
        self._network: httpcore.AsyncNetworkStream | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._timeouts: Mapping[str, float | None] = {}
        self._deadline = math.inf

    async def ask(self, request: httpx.Request) -> h11.Response:
        """Send ``request`` whole, whose extensions have the timeouts and the deadline; the head of the
        answer."""
        head, body = _head(request), _body(request)
        self._timeouts = request.extensions.get("timeout", {})
        self._deadline = request.extensions.get("deadline", math.inf)
        if self._network is None:
            self._network = await self._connected()
        try:
            with _noted("send_request"):
                await self._send(self._network, head, body)
        except httpcore.WriteError:
            pass  # a server may refuse before it has read everything
        with _noted("receive_response_headers"):
            return await self._answer(self._network)

    async def receive(self) -> bytes | None:
        """The next bytes of the answer's body; None at its end."""
        if self._network is None:
            raise httpcore.ReadError("the line is closed")
        with _noted("receive_response_body"):
            event = await self._event(self._network)
        return bytes(event.data) if isinstance(event, h11.Data) else None

    def ready(self) -> bool:
        """Whether the line can carry another request, now that this one is over. What is here of an answer
        that was not read is passed over; nothing is waited for."""
        try:
            with _noted("receive_response_body"):
                while isinstance(self._http.next_event(), h11.Data):
                    pass
        except h11.RemoteProtocolError:
            return False
        both_done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        # Bytes beyond the answer would be taken for the next one.
        if not both_done or self._http.trailing_data != (b"", False):
            return False
        self._http.start_next_cycle()
        return True

    def hung_up(self) -> bool:
        """Whether the server has ended an idle line: there is nothing else that it could have sent."""
        return self._network is None or bool(self._network.get_extra_info("is_readable"))

    async def aclose(self) -> None:
        network, self._network = self._network, None
        if network is not None:
            await network.aclose()

    def _patience(self, step: str) -> float | None:
        return earlier(self._timeouts.get(step), self._deadline)

    async def _connected(self) -> httpcore.AsyncNetworkStream:
        scheme, host, port = self.origin
        with _noted("connect_tcp"), _connecting():
            stream = await self._backend.connect_tcp(host, port, self._patience("connect"))
        if scheme != "https":
            return stream
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        try:
            with _noted("start_tls"), _connecting():
                return await stream.start_tls(self._ssl_context, host, self._patience("connect"))
        except BaseException:
            # httpcore closes the socket after an error, but not after a cancellation.
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise

    async def _send(
        self, network: httpcore.AsyncNetworkStream, head: h11.Request, body: AsyncIterable[bytes]
    ) -> None:
        await self._write(network, head)
        async for piece in body:
            await self._write(network, h11.Data(data=piece))
        await self._write(network, h11.EndOfMessage())

    async def _write(self, network: httpcore.AsyncNetworkStream, event: h11.Event) -> None:
        if data := self._http.send(event):
            await network.write(data, self._patience("write"))

    async def _answer(self, network: httpcore.AsyncNetworkStream) -> h11.Response:
        while isinstance(answer := await self._event(network), h11.InformationalResponse):
            pass
        if not isinstance(answer, h11.Response):
            raise h11.RemoteProtocolError("the server went over to another protocol")
        return answer

    async def _event(
        self, network: httpcore.AsyncNetworkStream
    ) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await network.read(_AT_ONCE, self._patience("read")))
        return event


def origin_key(url: httpx.URL) -> Origin:
    """Equal for two URLs whose requests may travel on the same line."""
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]


def earlier(timeout: float | None, deadline: float) -> float | None:
    """``timeout``, or the seconds left until ``deadline`` on the monotonic clock if they are fewer."""
    if deadline == math.inf:
        return timeout
    left = max(0.0, deadline - time.monotonic())
    return left if timeout is None else min(timeout, left)


def _head(request: httpx.Request) -> h11.Request:
    try:
        return h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
    except h11.LocalProtocolError as error:
        raise httpcore.LocalProtocolError(str(error)) from error


def _body(request: httpx.Request) -> AsyncIterable[bytes]:
    if not isinstance(request.stream, AsyncIterable):
        raise TypeError("the request's body can't be read asynchronously")
    return request.stream


@contextmanager
def _noted(step: str) -> Iterator[None]:
    """Log that a step happened, by the name that httpcore has for it, and nothing of what was said."""
    logger.debug("%s.started", step)
    try:
        yield
    except BaseException:
        logger.debug("%s.failed", step)
        raise
    logger.debug("%s.complete", step)


@contextmanager
def _connecting() -> Iterator[None]:
    """Whatever keeps a connection from being made (a name too long for DNS, a certificate) is a connect
    error: nothing was sent on it."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout):
        raise
    except Exception as error:
        raise httpcore.ConnectError(type(error).__name__) from error
