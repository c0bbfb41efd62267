"""The network as one connection sees it: on a clock, and with every failure to connect told apart.

httpcore's timeouts bound one socket operation each; a server that answers a byte at a time never meets
them. Here no operation outlasts a deadline for the whole exchange, and nothing has to be cancelled for it.
"""

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anyio
import httpcore


class Wire(httpcore.AsyncNetworkBackend):
    """The network as one connection sees it: every operation ends by ``deadline``, however much time of
    its own it was given."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend) -> None:
        self._backend = backend
        self.deadline = math.inf
        self.cut = False

    def limit(self, timeout: float | None) -> float | None:
        return earlier(timeout, self.deadline)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _connecting():
            stream = await self._backend.connect_tcp(
                host, port, self.limit(timeout), local_address, socket_options
            )
        return _WireStream(stream, self)


class _WireStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._wire.cut:
            raise httpcore.ReadError("nobody reads on")
        return await self._stream.read(max_bytes, self._wire.limit(timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, self._wire.limit(timeout))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            with _connecting():
                stream = await self._stream.start_tls(
                    ssl_context, server_hostname, self._wire.limit(timeout)
                )
        except BaseException:
            # httpcore closes the socket after an error, but not after a cancellation.
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise
        return _WireStream(stream, self._wire)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


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


def earlier(timeout: float | None, deadline: float) -> float | None:
    """``timeout``, or the seconds left until ``deadline`` on the monotonic clock if they are fewer."""
    if deadline == math.inf:
        return timeout
    left = max(0.0, deadline - time.monotonic())
    return left if timeout is None else min(timeout, left)
