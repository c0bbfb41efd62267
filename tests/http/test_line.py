"""A line: what it makes of a server's answer, and when it can carry another request."""

import httpcore
import httpx
import pytest

from tests.http.raw_server import Peer, answering, http_reply, serving
from ttsorch._http.line import Line
from ttsorch._http.request import Payload
from ttsorch._http.transport import LineTransport, default_ssl_context

pytestmark = pytest.mark.anyio


async def _answer(transport: LineTransport, url: str, **headers: str) -> tuple[int, bytes]:
    response = await transport.handle_async_request(httpx.Request("GET", url, headers=headers))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return response.status_code, b"".join([chunk async for chunk in response.stream])
    finally:
        await response.stream.aclose()


async def test_bytes_beyond_an_answer_are_not_the_next_answer() -> None:
    """A server that sends more than it was asked for can't answer a question that wasn't put yet."""

    async def talkative(peer: Peer) -> None:
        while await peer.read_request():
            await peer.send(http_reply(b"mine") + http_reply(b"not asked for"))

    async with serving(talkative) as server, LineTransport() as transport:
        answers = [await _answer(transport, server.url) for _ in range(3)]
    assert answers == [(200, b"mine")] * 3
    assert server.connections == 3


async def test_announcements_are_passed_over() -> None:
    """An answer may be preceded by others that only promise one (RFC 9110, 15.2)."""
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with answering(early + http_reply(b"x")) as server, LineTransport() as transport:
        answers = [await _answer(transport, server.url) for _ in range(2)]
    assert answers == [(200, b"x")] * 2
    assert server.connections == 1


@pytest.mark.parametrize("asked", [{}, {"Connection": "upgrade", "Upgrade": "websocket"}])
async def test_no_other_protocol_is_spoken(asked: dict[str, str]) -> None:
    """A server that goes over to another protocol, even one that was offered, gave no answer."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    async with answering(switched) as server, LineTransport() as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await _answer(transport, server.url, **asked)


async def test_a_body_that_has_ended_stays_so() -> None:
    """Who reads on after the end waits for nothing, also once the response is closed."""
    async with answering(http_reply(b"x")) as server, LineTransport() as transport:
        response = await transport.handle_async_request(httpx.Request("GET", server.url))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        chunks = [[chunk async for chunk in response.stream] for _ in range(2)]
        await response.stream.aclose()
        assert [chunk async for chunk in response.stream] == []
    assert chunks == [[b"x"], []]


async def test_a_request_that_cannot_be_spoken_takes_no_connection() -> None:
    """What HTTP/1.1 has no way to say is refused before anybody is called, and costs no place."""
    async with answering(http_reply()) as server, LineTransport(max_connections=1) as transport:
        for _ in range(2):
            with pytest.raises(httpx.LocalProtocolError):
                await _answer(transport, server.url, bad="a\r\nb")
        assert server.connections == 0


class _Hasty(httpcore.AsyncMockStream):
    """Answers, and takes nothing but the head of the request."""

    taken = 0

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self.taken += 1
        if self.taken > 1:
            raise httpcore.WriteError("broken pipe")


class _Network(httpcore.AsyncMockBackend):
    async def connect_tcp(self, *args: object, **kwargs: object) -> httpcore.AsyncNetworkStream:
        return _Hasty([http_reply(b"too large", status="413 Content Too Large")])


async def test_a_refusal_that_comes_before_the_body_was_sent_is_heard() -> None:
    """A server may answer and hang up while it is still being sent to; its line is used no more."""

    line = Line(("http", "vendor.test", 80), default_ssl_context(), _Network([]))
    host = {"Host": "vendor.test", "Content-Length": "1"}
    request = httpx.Request("POST", "http://vendor.test/", headers=host, stream=Payload(b"x"))
    answer = await line.ask(request)
    assert (answer.status_code, await line.receive()) == (413, b"too large")
    assert await line.receive() is None
    assert not line.ready()
    await line.aclose()


async def test_a_closed_line_gives_nothing() -> None:
    """It is as good as one whose server hung up."""
    line = Line(("http", "vendor.test", 80), default_ssl_context(), _Network([]))
    assert line.hung_up()
    with pytest.raises(httpcore.ReadError):
        await line.receive()
    await line.aclose()
