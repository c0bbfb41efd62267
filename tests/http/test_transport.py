"""The transport: which connection a request travels on, and when one is closed."""

import ssl

import anyio
import httpcore
import httpx
import pytest

from tests.http.raw_server import Peer, answering, http_reply, serving
from ttsorch._http.transport import LineTransport, default_ssl_context

pytestmark = pytest.mark.anyio


def _client(transport: LineTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, trust_env=False)


async def _stream(transport: LineTransport, url: str) -> httpx.AsyncByteStream:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


async def test_connections_are_per_origin() -> None:
    """A connection to one server is never used for another, though both stay open."""
    first, second = answering(http_reply(b"1")), answering(http_reply(b"2"))
    async with first as one, second as two, _client(LineTransport()) as http:
        bodies = [(await http.get(server.url)).content for server in (one, two, one, two)]
    assert bodies == [b"1", b"2", b"1", b"2"]
    assert (one.connections, two.connections) == (1, 1)


async def test_no_more_connections_stay_idle_than_allowed() -> None:
    """The one that was idle longest makes room."""
    first, second = answering(http_reply()), answering(http_reply())
    async with first as one, second as two, _client(LineTransport(max_connections=1)) as http:
        for server in (one, two, one):
            await http.get(server.url)
    assert (one.connections, two.connections) == (2, 1)


async def test_an_idle_connection_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the keep-alive time a connection isn't trusted any more, and is closed."""
    now = 1000.0
    monkeypatch.setattr("ttsorch._http.transport.time.monotonic", lambda: now)
    async with answering(http_reply()) as server, _client(LineTransport(keepalive=10)) as http:
        await http.get(server.url)
        now += 9
        await http.get(server.url)
        assert server.connections == 1
        now += 11
        await http.get(server.url)
    assert server.connections == 2


async def test_a_body_that_is_left_unread_costs_its_connection() -> None:
    """Nothing of an abandoned answer can end up in the next one."""
    reply = http_reply(b"x" * 500_000)
    async with answering(reply) as server, LineTransport(max_connections=1) as transport:
        stream = await _stream(transport, server.url)
        await anext(aiter(stream))
        await stream.aclose()
        again = await _stream(transport, server.url)
        assert sum([len(chunk) async for chunk in again]) == 500_000
        await again.aclose()
    assert server.connections == 2


async def test_a_short_body_that_was_received_keeps_its_connection() -> None:
    """When the rest of an abandoned answer is here already, its connection is as good as before."""
    async with answering(http_reply(b"short")) as server, LineTransport() as transport:
        for _ in range(3):
            stream = await _stream(transport, server.url)
            assert await anext(aiter(stream)) == b"short"
            await stream.aclose()
    assert server.connections == 1


async def test_a_response_can_be_closed_twice() -> None:
    """A second close gives back nothing a second time."""
    async with answering(http_reply()) as server, LineTransport(max_connections=1) as transport:
        for _ in range(3):
            stream = await _stream(transport, server.url)
            await stream.aclose()
            await stream.aclose()


async def test_a_connection_in_use_when_the_transport_closes_is_closed_after() -> None:
    """Nothing is kept for later when there is no later."""
    async with answering(http_reply()) as server:
        transport = LineTransport()
        stream = await _stream(transport, server.url)
        await transport.aclose()
        assert [chunk async for chunk in stream] == [b"{}"]
        await stream.aclose()
        with anyio.fail_after(5):
            while server.open_now:
                await anyio.lowlevel.checkpoint()


async def test_without_timeouts_requests_wait_their_turn() -> None:
    """A bare request, with no timeout at all, waits for a connection as long as it takes."""
    async with answering(http_reply()) as server, LineTransport(max_connections=1) as transport:

        async def ask() -> None:
            stream = await _stream(transport, server.url)
            assert [chunk async for chunk in stream] == [b"{}"]
            await stream.aclose()

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
    assert server.connections == 1


async def test_a_body_that_would_block_is_refused() -> None:
    """A request whose body can only be read synchronously is a mistake of the caller's."""
    request = httpx.Request("POST", "https://vendor.test", content=iter([b"x"]))
    async with LineTransport() as transport:
        with pytest.raises(TypeError, match="asynchronously"):
            await transport.handle_async_request(request)


class _Tls(httpcore.AsyncMockStream):
    names: list[str | None]

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        assert ssl_context is default_ssl_context()
        self.names.append(server_hostname)
        return self


class _TlsBackend(httpcore.AsyncMockBackend):
    def __init__(self, names: list[str | None]) -> None:
        super().__init__([])
        self._names = names

    async def connect_tcp(self, *args: object, **kwargs: object) -> httpcore.AsyncNetworkStream:
        stream = _Tls([http_reply(b"secret")])
        stream.names = self._names
        return stream


async def test_https_uses_the_shared_context_and_checks_the_hosts_name() -> None:
    """Each connection is wrapped once, for the name in the URL, with the one context of the process."""
    names: list[str | None] = []
    async with _client(LineTransport(backend=_TlsBackend(names))) as http:
        response = await http.get("https://vendor.test/")
    assert response.content == b"secret"
    assert names == ["vendor.test"]


def test_the_environment_has_no_say_in_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authorities are those that httpx ships, and a host that wants others passes a context."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    default_ssl_context.cache_clear()
    context = default_ssl_context()
    assert context.check_hostname
    assert context is default_ssl_context()


async def test_errors_are_httpxs_own() -> None:
    """As in every httpx transport, no httpcore error gets out."""

    async def hang_up(peer: Peer) -> None:
        await peer.read_request()

    async with serving(hang_up) as server, _client(LineTransport()) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(server.url)
