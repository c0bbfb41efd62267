"""One exchange: what it sends, what it gives back, and how it is bounded."""

import time
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from tests.http.raw_server import Behaviour, Peer, answering, http_reply, serving
from ttsorch._http import HttpClient, Timeouts, get_request, post_request
from ttsorch.errors import ProviderTimeout, ProviderUnavailable

pytestmark = pytest.mark.anyio


async def test_a_reply_is_given_back_whole_whatever_its_status() -> None:
    """Status, lower-case headers, joined repeats and the body all arrive; nothing is raised for a 500."""
    reply = http_reply(b'{"a":1}', "X-Id: 7", "X-Id: 8", status="500 Oops")
    async with answering(reply) as server, HttpClient() as http:
        answer = await http.exchange(get_request(f"{server.url}/x"), deadline=5)
    assert (answer.status, answer.body, answer.headers["x-id"]) == (500, b'{"a":1}', "7, 8")


async def test_a_post_carries_its_json_and_headers() -> None:
    """The server receives the compact JSON body, its type and our headers."""
    async with answering(http_reply()) as server, HttpClient() as http:
        request = post_request(f"{server.url}/submit", {"text": "é"}, headers={"Modal-Key": "wk"})
        await http.exchange(request, deadline=5)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /submit HTTP/1.1\r\n")
    assert b"content-type: application/json" in head
    assert b"modal-key: wk" in head.lower()
    assert body == '{"text":"é"}'.encode()


async def test_compression_is_refused_in_the_request() -> None:
    """Every request asks for identity, even one that was built to ask for gzip."""
    async with answering(http_reply()) as server, HttpClient() as http:
        await http.exchange(
            get_request(server.url, headers={"Accept-Encoding": "gzip"}), deadline=5
        )
    assert server.requests[0].lower().count(b"accept-encoding: identity\r\n") == 1
    assert b"gzip" not in server.requests[0]


async def test_the_same_request_can_be_sent_twice() -> None:
    """An exchange leaves the request it was given as it was."""
    async with answering(http_reply()) as server, HttpClient() as http:
        request = post_request(server.url, {"n": 1})
        before = (request.headers.raw, dict(request.extensions))
        for _ in range(2):
            await http.exchange(request, deadline=5)
    assert (request.headers.raw, dict(request.extensions)) == before
    assert server.requests[0] == server.requests[1]


async def test_no_cookie_is_kept() -> None:
    """A cookie that the server sets isn't sent back."""
    reply = http_reply(b"{}", "Set-Cookie: sid=1; Path=/")
    async with answering(reply) as server, HttpClient() as http:
        for _ in range(2):
            await http.exchange(get_request(server.url), deadline=5)
    assert b"cookie" not in server.requests[1].lower()


async def test_no_redirect_is_followed() -> None:
    """A 303 is a reply like any other."""
    reply = http_reply(b"", "Location: /elsewhere", status="303 See Other")
    async with answering(reply) as server, HttpClient() as http:
        answer = await http.exchange(get_request(server.url), deadline=5)
    assert answer.status == 303
    assert len(server.requests) == 1


async def test_a_location_that_httpx_refuses_is_no_error() -> None:
    """httpx reads Location even when it doesn't follow it; a submit's answer isn't lost over that."""
    reply = http_reply(b'{"job_id":"1"}', "Location: http://[", status="303 See Other")
    async with answering(reply) as server, HttpClient() as http:
        answer = await http.exchange(get_request(server.url), deadline=5)
    assert answer.json_object() == {"job_id": "1"}
    assert answer.location is None


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_proxies_of_the_environment_are_ignored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes to its own host although the environment names a proxy."""
    async with answering(http_reply()) as proxy, answering(http_reply()) as server:
        monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with HttpClient() as http:
            await http.exchange(get_request(server.url), deadline=5)
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


# --- connections --------------------------------------------------------------------------------------


async def test_a_connection_is_reused() -> None:
    """Three exchanges in a row share one connection."""
    async with answering(http_reply()) as server, HttpClient() as http:
        for _ in range(3):
            await http.exchange(get_request(server.url), deadline=5)
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_a_fresh_connection_is_fresh() -> None:
    """A submit never travels on a connection that was used before."""
    async with answering(http_reply()) as server, HttpClient() as http:
        await http.exchange(get_request(server.url), deadline=5)
        await http.exchange(post_request(server.url, {}), deadline=5, fresh_connection=True)
    assert server.connections == 2


async def test_a_connection_that_the_server_closed_is_not_reused() -> None:
    """After an idle close by the server, the next exchange opens a new connection and succeeds."""
    left = anyio.Event()

    async def one_answer(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(http_reply())
        await peer.stream.send_eof()
        left.set()

    async with serving(one_answer) as server, HttpClient() as http:
        await http.exchange(get_request(server.url), deadline=5)
        await left.wait()
        assert (await http.exchange(get_request(server.url), deadline=5)).status == 200
    assert server.connections == 2


# --- bounds -------------------------------------------------------------------------------------------


async def _drip(peer: Peer, head: bytes) -> None:
    await peer.read_request()
    await peer.send(head)
    while True:
        await peer.send(b"x")
        await anyio.sleep(0.03)


async def _drip_headers(peer: Peer) -> None:
    await _drip(peer, b"HTTP/1.1 200 OK\r\nX-Long: ")


async def _drip_body(peer: Peer) -> None:
    await _drip(peer, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


async def _silence(peer: Peer) -> None:
    await peer.read_request()
    await anyio.sleep_forever()


async def _deaf(peer: Peer) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("behaviour", [_drip_headers, _drip_body, _silence, _deaf])
async def test_the_deadline_ends_an_exchange_whatever_the_server_does(
    behaviour: Behaviour,
) -> None:
    """Drip-feeding, silence and not reading at all: each ends at the deadline, ambiguous, as a timeout."""
    request_body = {"text": "x" * 8_000_000} if behaviour is _deaf else {}
    async with serving(behaviour) as server, HttpClient() as http:
        request = post_request(server.url, request_body)
        began = time.monotonic()
        with pytest.raises(ProviderTimeout) as caught:
            await http.exchange(request, deadline=0.3)
        assert 0.25 <= time.monotonic() - began <= 1.3
    assert caught.value.ambiguous
    # The socket ran out of time; nothing had to be cancelled.
    assert caught.value.detail in {f"{kind}Timeout at {server.url}" for kind in ("Read", "Write")}


# httpx nests generators and leaves the inner ones to the garbage collector, which trio remarks upon.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("behaviour", [_drip_headers, _drip_body])
async def test_the_deadline_holds_for_a_client_of_the_hosts_too(behaviour: Behaviour) -> None:
    """A handed-in client knows no deadline, and is left at most a second late."""
    async with serving(behaviour) as server, httpx.AsyncClient(trust_env=False) as theirs:
        http = HttpClient(http=theirs)
        began = time.monotonic()
        with pytest.raises(ProviderTimeout) as caught:
            await http.exchange(get_request(server.url), deadline=0.2)
        assert time.monotonic() - began <= 1.2
        await http.aclose()
    assert caught.value.ambiguous


async def test_a_spent_deadline_sends_nothing() -> None:
    """With no time left nothing leaves, and the error isn't ambiguous."""
    async with answering(http_reply()) as server, HttpClient() as http:
        with pytest.raises(ProviderTimeout) as caught:
            await http.exchange(get_request(server.url), deadline=0)
    assert not caught.value.ambiguous
    assert server.connections == 0


async def test_silence_is_bounded_by_the_read_timeout() -> None:
    """The client's read timeout ends a silence before the deadline does."""
    async with serving(_silence) as server, HttpClient(timeouts=Timeouts(read=0.1)) as http:
        began = time.monotonic()
        with pytest.raises(ProviderTimeout):
            await http.exchange(get_request(server.url), deadline=30)
        assert time.monotonic() - began < 5


async def test_one_exchange_may_allow_a_longer_silence() -> None:
    """A server that works for long before it answers is given the time, in that exchange only."""

    async def slow(peer: Peer) -> None:
        while await peer.read_request():
            await anyio.sleep(0.2)
            await peer.send(http_reply())

    async with serving(slow) as server, HttpClient(timeouts=Timeouts(read=0.02)) as http:
        request = get_request(server.url)
        reply = await http.exchange(request, deadline=30, read_timeout=20)
        with pytest.raises(ProviderTimeout):
            await http.exchange(request, deadline=30)
    assert reply.status == 200


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
async def test_a_reply_over_the_cap_is_not_read_on(framing: str) -> None:
    """However the body is framed, one byte too many ends the exchange; the same body fits a larger cap."""
    body = b"x" * 1001
    replies = {
        "length": http_reply(body),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%b\r\n0\r\n\r\n"
        % body,
        "close": b"HTTP/1.1 200 OK\r\n\r\n" + body,
    }

    async def once(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(replies[framing])

    async with serving(once) as server, HttpClient() as http:
        with pytest.raises(ProviderUnavailable) as caught:
            await http.exchange(get_request(server.url), deadline=5, max_body=1000)
        whole = await http.exchange(get_request(server.url), deadline=5, max_body=1001)
    assert caught.value.ambiguous
    assert caught.value.detail == f"ReplyTooLarge at {server.url}"
    assert whole.body == body


async def test_an_endless_reply_is_not_held_in_memory() -> None:
    """A server that never stops sending is left after the cap."""

    async def flood(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"x" * 65536)

    async with serving(flood) as server, HttpClient() as http:
        with pytest.raises(ProviderUnavailable, match="temporarily unavailable"):
            await http.exchange(get_request(server.url), deadline=20)


async def test_more_exchanges_than_connections_wait_their_turn() -> None:
    """With room for one, a second exchange is sent after the first, on the same connection."""
    async with answering(http_reply()) as server, HttpClient(max_connections=1) as http:

        async def ask() -> None:
            await http.exchange(get_request(server.url), deadline=5)

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
    assert (server.connections, len(server.requests)) == (1, 5)


# --- what was handed in -------------------------------------------------------------------------------


class _Canned(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"path": request.url.path})

    async def aclose(self) -> None:
        self.closed = True


async def test_a_transport_that_was_handed_in_is_used_and_stays_open() -> None:
    """The exchange goes through it, and aclose leaves it to its owner."""
    transport = _Canned()
    async with HttpClient(transport=transport) as http:
        answer = await http.exchange(get_request("https://vendor.test/a"), deadline=5)
    assert answer.json_object() == {"path": "/a"}
    assert not transport.closed


async def test_a_client_that_was_handed_in_is_used_and_stays_open() -> None:
    """Its network is used; its credentials, headers and cookies are not; aclose leaves it open."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(303, headers={"Location": "/next", "Set-Cookie": "a=1"})

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer),
        auth=("user", "password"),
        headers={"X-Own": "1"},
        cookies={"c": "1"},
        follow_redirects=True,
    ) as theirs:
        async with HttpClient(http=theirs) as http:
            reply = await http.exchange(get_request("https://vendor.test/a"), deadline=5)
        assert not theirs.is_closed
    assert reply.location == "https://vendor.test/next"
    assert len(seen) == 1
    assert not {"authorization", "x-own", "cookie"} & set(seen[0].headers)


async def test_a_client_of_the_hosts_that_is_closed_sent_nothing() -> None:
    """A closed client can't have reached the server: not ambiguous."""
    theirs = httpx.AsyncClient()
    await theirs.aclose()
    with pytest.raises(ProviderUnavailable) as caught:
        await HttpClient(http=theirs).exchange(get_request("https://vendor.test"), deadline=5)
    assert not caught.value.ambiguous


class _Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(0.02)
            yield b"x"


async def test_a_transport_without_deadlines_is_left_between_two_reads() -> None:
    """The clock is looked at after every chunk, without cancelling the transport."""

    def endless(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Endless())

    async with HttpClient(transport=httpx.MockTransport(endless)) as http:
        began = time.monotonic()
        with pytest.raises(ProviderTimeout) as caught:
            await http.exchange(get_request("https://vendor.test"), deadline=0.1)
        assert time.monotonic() - began < 0.5
    assert caught.value.detail == "TimeoutError at https://vendor.test:443"


class _Blocking(httpx.SyncByteStream):
    pass


async def test_a_blocking_transport_is_refused() -> None:
    """A response that could only be read by blocking the event loop is an error, not a stall."""

    def blocking(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_Blocking())

    async with HttpClient(transport=httpx.MockTransport(blocking)) as http:
        with pytest.raises(ProviderUnavailable) as caught:
            await http.exchange(get_request("https://vendor.test"), deadline=1)
    assert caught.value.detail == "TypeError at https://vendor.test:443"


# --- lifecycle ----------------------------------------------------------------------------------------


async def test_a_closed_client_sends_nothing() -> None:
    """After aclose, which may be repeated, an exchange is refused before anything leaves."""
    async with answering(http_reply()) as server:
        http = HttpClient()
        await http.aclose()
        await http.aclose()
        with pytest.raises(ProviderUnavailable) as caught:
            await http.exchange(get_request(server.url), deadline=5)
    assert not caught.value.ambiguous
    assert server.connections == 0
