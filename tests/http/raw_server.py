"""A TCP server on a loopback port that does exactly what a test tells it, byte by byte."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream


def http_reply(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


@dataclass
class Peer:
    """One client, as the server sees it. ``number`` counts connections from 0."""

    number: int
    stream: SocketStream
    received: bytearray = field(default_factory=bytearray)

    async def read_request(self) -> bytes | None:
        """The next whole request, or None when the client is gone."""
        while (end := self._end_of_request()) is None:
            try:
                self.received += await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return None
        request = bytes(self.received[:end])
        del self.received[:end]
        return request

    @property
    def whole_request(self) -> bool:
        return self._end_of_request() is not None

    def _end_of_request(self) -> int | None:
        head, gap, _ = bytes(self.received).partition(b"\r\n\r\n")
        if not gap:
            return None
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        end = len(head) + len(gap) + length
        return end if len(self.received) >= end else None

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def reset(self) -> None:
        """Drop the connection with an RST instead of a FIN."""
        raw = self.stream.extra_attributes[SocketAttribute.raw_socket]()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self.stream)


@dataclass
class Server:
    port: int
    connections: int = 0
    open_now: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Behaviour = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[Server]:
    """Run ``behaviour`` for each connection, and close the connection when it returns."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    server = Server(listener.extra_attributes[SocketAttribute.local_port]())

    async def handle(stream: SocketStream) -> None:
        peer = Peer(server.connections, stream)
        server.connections += 1
        server.open_now += 1
        try:
            async with stream:
                await behaviour(peer)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            server.open_now -= 1

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield server
        group.cancel_scope.cancel()


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[Server]:
    """A well-behaved server that keeps connections alive and remembers the requests."""
    seen: list[bytes] = []

    async def behaviour(peer: Peer) -> None:
        while (request := await peer.read_request()) is not None:
            seen.append(request)
            await peer.send(reply)

    async with serving(behaviour) as server:
        server.requests = seen
        yield server


def refused_port() -> int:
    """A port that nobody listens on: it was ours a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
