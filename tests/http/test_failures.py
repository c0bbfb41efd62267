"""Every way an exchange can fail, and whether the request may have reached the server."""

import socket
from collections.abc import Awaitable, Callable, Iterable

import anyio
import httpcore
import httpx
import pytest

from tests.http.raw_server import Peer, http_reply, refused_port, serving
from ttsorch._http import HttpClient, Timeouts, get_request, post_request
from ttsorch._http.transport import LineTransport
from ttsorch.errors import ProviderError, ProviderTimeout, ProviderUnavailable

pytestmark = pytest.mark.anyio


async def _fails(http: HttpClient, url: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await http.exchange(post_request(f"{url}/submit", {"text": "hello"}), deadline=5)
    return caught.value


# --- certainly not sent -------------------------------------------------------------------------------


async def test_a_refused_connection_sent_nothing() -> None:
    """Nobody listens: unavailable, worth another try, not ambiguous."""
    port = refused_port()
    async with HttpClient() as http:
        error = await _fails(http, f"http://127.0.0.1:{port}")
    assert isinstance(error, ProviderUnavailable)
    assert (error.ambiguous, error.retryable) == (False, True)
    assert error.detail == f"ConnectError at http://127.0.0.1:{port}"


async def test_a_name_that_resolves_nowhere_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed look-up is a failed connect."""

    def no_such_name(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    async with HttpClient() as http:
        error = await _fails(http, "https://vendor.invalid")
    assert (error.ambiguous, error.retryable) == (False, True)
    assert error.detail == "ConnectError at https://vendor.invalid:443"


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, connect: Callable[[], Awaitable[httpcore.AsyncNetworkStream]]) -> None:
        self._connect = connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._connect()


async def test_whatever_keeps_a_connection_from_being_made_sent_nothing() -> None:
    """Even an error that httpcore doesn't know, such as a name that can't be encoded."""

    async def connect() -> httpcore.AsyncNetworkStream:
        raise UnicodeError("label too long")

    async with LineTransport(backend=_Backend(connect)) as transport:
        error = await _fails(HttpClient(transport=transport), "https://vendor.test")
    assert (error.ambiguous, error.retryable) == (False, True)


async def test_a_connect_timeout_sent_nothing() -> None:
    """A TLS handshake that never comes back is a connect timeout, not an answer timeout."""

    async def mute(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with serving(mute) as server, HttpClient(timeouts=Timeouts(connect=0.1)) as http:
        error = await _fails(http, server.url.replace("http:", "https:"))
    assert isinstance(error, ProviderUnavailable)
    assert (error.ambiguous, error.retryable) == (False, True)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_failed_tls_handshake_sent_nothing(answer: bytes) -> None:
    """A server that hangs up, or doesn't speak TLS, never saw the request."""

    async def no_tls(peer: Peer) -> None:
        await peer.stream.receive()
        if answer:
            await peer.send(answer)

    async with serving(no_tls) as server, HttpClient() as http:
        error = await _fails(http, server.url.replace("http:", "https:"))
    assert isinstance(error, ProviderUnavailable)
    assert (error.ambiguous, error.retryable) == (False, True)


async def test_no_room_in_the_pool_sent_nothing() -> None:
    """All connections are taken by exchanges that hang; the next one gives up unsent."""
    taken = anyio.Event()

    async def hang(peer: Peer) -> None:
        await peer.read_request()
        taken.set()
        await anyio.sleep_forever()

    client = HttpClient(max_connections=1, timeouts=Timeouts(pool=0.05), grace=0)
    async with serving(hang) as server, client as http, anyio.create_task_group() as group:
        group.start_soon(_fails, http, server.url)
        await taken.wait()
        error = await _fails(http, server.url)
        assert server.connections == 1
        await http.aclose()
    assert error.detail == f"PoolTimeout at {server.url}"
    assert (error.ambiguous, error.retryable) == (False, True)


@pytest.mark.parametrize("error", [httpx.UnsupportedProtocol("x"), httpx.LocalProtocolError("x")])
async def test_a_request_that_cannot_be_spoken_is_not_tried_again(error: Exception) -> None:
    """What httpx refuses to send was not sent, and never will be."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise error

    http = HttpClient(transport=httpx.MockTransport(refuse))
    failure = await _fails(http, "https://vendor.test")
    assert (failure.ambiguous, failure.retryable) == (False, False)


# --- perhaps received ---------------------------------------------------------------------------------

_REPLY = http_reply(b'{"job_id":"fc-1"}', "Content-Type: application/json")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_request_that_was_cut_anywhere_is_ambiguous(how: str) -> None:
    """The server drops the connection after each number of request bytes, from none to all of them."""
    lengths = []

    async def cut(peer: Peer) -> None:
        while len(peer.received) < peer.number and not peer.whole_request:
            peer.received += await peer.stream.receive(peer.number - len(peer.received))
        lengths.append(len(peer.received))
        if how == "reset":
            await peer.reset()

    errors = []
    async with serving(cut) as server, HttpClient() as http:
        while len(set(lengths)) == len(lengths):
            errors.append(await _fails(http, server.url))
    assert len(errors) > 100
    assert {type(error) for error in errors} == {ProviderUnavailable}
    assert all(error.ambiguous for error in errors)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_reply_that_was_cut_anywhere_is_ambiguous(how: str) -> None:
    """The server drops the connection after each byte of its reply: never half an answer, never certain."""

    async def cut(peer: Peer) -> None:
        await peer.read_request()
        if peer.number:
            await peer.send(_REPLY[: peer.number])
        if how == "reset":
            await peer.reset()

    async with serving(cut) as server, HttpClient() as http:
        errors = [await _fails(http, server.url) for _ in range(len(_REPLY))]
        if how == "close":
            whole = await http.exchange(get_request(server.url), deadline=5)
            assert whole.json_object() == {"job_id": "fc-1"}
    assert {type(error) for error in errors} == {ProviderUnavailable}
    assert all(error.ambiguous for error in errors)


@pytest.mark.parametrize(
    "reply",
    [
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
    ],
)
async def test_a_reply_that_is_not_http_is_ambiguous(reply: bytes) -> None:
    """Garbage proves nothing about the request."""

    async def garbage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with serving(garbage) as server, HttpClient() as http:
        error = await _fails(http, server.url)
    assert isinstance(error, ProviderUnavailable)
    assert error.ambiguous


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ReadTimeout("x"), ProviderTimeout),
        (httpx.WriteTimeout("x"), ProviderTimeout),
        (TimeoutError(), ProviderTimeout),
        (httpx.ReadError("x"), ProviderUnavailable),
        (httpx.WriteError("x"), ProviderUnavailable),
        (httpx.RemoteProtocolError("x"), ProviderUnavailable),
        (OSError("x"), ProviderUnavailable),
        (ValueError("x"), ProviderUnavailable),
    ],
)
async def test_everything_else_is_ambiguous(
    error: Exception, expected: type[ProviderError]
) -> None:
    """Timeouts keep their category; what nobody foresaw counts as sent."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    failure = await _fails(HttpClient(transport=httpx.MockTransport(fail)), "https://vendor.test")
    assert type(failure) is expected
    assert failure.ambiguous
    assert failure.detail == f"{type(error).__name__} at https://vendor.test:443"


async def test_a_stale_connection_is_why_submits_want_a_fresh_one() -> None:
    """A server that hangs up on the second request of a connection fails a reused one, not a fresh one."""

    async def one_each(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(http_reply())
        await peer.read_request()

    async with serving(one_each) as server, HttpClient() as http:
        await http.exchange(get_request(server.url), deadline=5)
        reply = await http.exchange(post_request(server.url, {}), deadline=5, fresh_connection=True)
        error = await _fails(http, server.url)
    assert reply.status == 200
    assert error.ambiguous
