"""A vendor's HTTP server for tests, on a real socket, whose wire breaks where it is told to.

A fake vendor is one function from a :class:`VendorRequest` to a :class:`VendorReply`; ``serving`` gives it a
port. What the vendor does is the function's; what happens to the bytes on their way is a :class:`WireFault`.
The two together make the cases that matter most: the vendor took the job, and nobody heard it say so.
"""

import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl, unquote

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream

from ttsorch.testing.vendor_exchange import Answer, VendorReply, VendorRequest, WireFault

__all__ = ["Answer", "VendorReply", "VendorRequest", "VendorServer", "WireFault", "serving"]

#: In bytes. The largest request a fake takes; a longer one is answered with 413.
MAX_REQUEST_BODY = 64 * 1024 * 1024

# In seconds: how long a client may take to notice that its connection was closed in an orderly way.
_PARTING = 5.0


@dataclass
class VendorServer:
    """A running fake. ``faults`` each break one matching exchange, in their order; ``requests`` are those
    that arrived whole; ``failures`` are what the answering function raised, each answered with a 500."""

    url: str
    port: int
    faults: deque[WireFault] = field(default_factory=deque)
    requests: list[VendorRequest] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    _arrival: anyio.Event = field(default_factory=anyio.Event, repr=False)

    async def received(self, count: int) -> None:
        """Wait until ``count`` requests in all have arrived whole."""
        while len(self.requests) < count:
            await self._arrival.wait()

    def record(self, request: VendorRequest) -> None:
        """Note a request that arrived whole."""
        self.requests.append(request)
        self._arrival.set()
        self._arrival = anyio.Event()

    def take_fault(self, path: str | None) -> WireFault | None:
        """Use up the first fault for ``path``; while the path isn't known, only one that is for any."""
        for fault in self.faults:
            if fault.path in (None, path):
                self.faults.remove(fault)
                return fault
            if path is None:
                break
        return None


@asynccontextmanager
async def serving(
    answer: Answer, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[VendorServer]:
    """Answer HTTP/1.1 with ``answer``, on any free port unless one is given. Leaving closes every connection.

    Raises:
        OSError: the port can't be had.
    """
    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    bound = listener.extra_attributes[SocketAttribute.local_port]()
    shown = f"[{host}]" if ":" in host else host
    server = VendorServer(f"http://{shown}:{bound}", bound)

    async def handle(stream: SocketStream) -> None:
        server.connections += 1
        server.open_connections += 1
        try:
            async with stream:
                await _Connection(stream, server, answer).serve()
        except (_HungUp, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            server.open_connections -= 1

    failure: Exception | None = None
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        try:
            yield server
        except Exception as error:  # noqa: BLE001  # raised below, so that no group wraps a test's failure
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


class _HungUp(Exception):
    """This connection is over."""


class _Connection:
    """One client's connection, from its first byte to its end."""

    def __init__(self, stream: SocketStream, server: VendorServer, answer: Answer) -> None:
        self._stream = stream
        self._server = server
        self._answer = answer
        self._http = h11.Connection(h11.SERVER)
        self._received = 0
        self._fault: WireFault | None = None

    async def serve(self) -> None:
        while True:
            try:
                request = await self._read_request()
            except h11.RemoteProtocolError:
                await self._refuse(VendorReply.of_text("Invalid HTTP request received.", 400))
                return
            self._server.record(request)
            reply = await self._reply_to(request)
            await self._send(self._wire_form(reply, request.method))
            if self._http.our_state is h11.MUST_CLOSE:
                return
            self._http.start_next_cycle()
            self._received, self._fault = 0, None

    async def _read_request(self) -> VendorRequest:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Request):
                head = event
                self._meet_fault(_path_of(event))
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_REQUEST_BODY:
                    await self._refuse(VendorReply.of_text("Content Too Large", 413))
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                if self._cut_after is not None:
                    await self._hang_up()
                return _request_of(head, bytes(body))
            else:
                raise _HungUp
            if self._cut_after is not None and self._received >= self._cut_after:
                await self._hang_up()

    @property
    def _cut_after(self) -> int | None:
        return self._fault.cut_request_after if self._fault else None

    def _meet_fault(self, path: str | None) -> None:
        if self._fault is None:
            self._fault = self._server.take_fault(path)

    async def _receive(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            head = h11.InformationalResponse(status_code=100, headers=[])
            await self._stream.send(self._http.send(head) or b"")
        data = await self._stream.receive()
        self._received += len(data)
        self._meet_fault(None)
        self._http.receive_data(data)

    async def _reply_to(self, request: VendorRequest) -> VendorReply:
        try:
            return await self._answer(request)
        except Exception as error:  # noqa: BLE001  # as Starlette does; the test finds it in failures
            self._server.failures.append(error)
            return VendorReply.of_text("Internal Server Error", 500)

    def _wire_form(self, reply: VendorReply, method: str) -> bytes:
        headers = {
            "content-type": reply.content_type,
            "content-length": str(len(reply.body)),
            **reply.headers,
        }
        events: list[h11.Event] = [
            h11.Response(status_code=reply.status, headers=list(headers.items()))
        ]
        if method != "HEAD":
            events.append(h11.Data(data=reply.body))
        return b"".join(self._http.send(event) or b"" for event in (*events, h11.EndOfMessage()))

    async def _send(self, data: bytes) -> None:
        fault = self._fault or WireFault()
        if fault.stall is not None:
            await self._hold(fault.stall)
        await self._stream.send(data[: fault.reply_limit])
        if fault.reply_limit is not None:
            await self._hang_up()

    async def _hold(self, until: anyio.Event) -> None:
        """Wait for the event, or for the client to leave: then the reply goes nowhere."""

        async def watch() -> None:
            try:
                while True:
                    self._http.receive_data(await self._stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await until.wait()
            group.cancel_scope.cancel()

    async def _refuse(self, reply: VendorReply) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self._stream.send(self._wire_form(reply, "GET"))
        await self._part()

    async def _hang_up(self) -> None:
        if self._fault is not None and self._fault.graceful:
            await self._part()
        raw = self._stream.extra_attributes[SocketAttribute.raw_socket]()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self._stream)
        raise _HungUp

    async def _part(self) -> None:
        """Say goodbye and read on until the client does: closing over unread bytes would send an RST."""
        try:
            await self._stream.send_eof()
            with anyio.move_on_after(_PARTING):
                while True:
                    await self._stream.receive()
        except OSError:
            pass
        raise _HungUp


def _path_of(head: h11.Request) -> str:
    return unquote(head.target.decode("latin-1").partition("?")[0])


def _request_of(head: h11.Request, body: bytes) -> VendorRequest:
    query: dict[str, str] = {}
    raw_query = head.target.decode("latin-1").partition("?")[2]
    for name, value in parse_qsl(raw_query, keep_blank_values=True):
        query.setdefault(name, value)
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    method = head.method.decode("latin-1")
    return VendorRequest(
        method, _path_of(head), MappingProxyType(query), MappingProxyType(headers), body
    )
