"""One download over a real socket: what is asked, what comes out, what each answer means."""

import ssl
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
import trustme

from tests.download.internet import (
    PUBLIC,
    QUICK,
    Names,
    downloading,
    internet,
    over_tls,
    read,
)
from tests.http.raw_server import Peer, answering, http_reply, refused_port, serving
from ttsorch._download import Downloader, Limits
from ttsorch._http import Reply
from ttsorch.errors import (
    CorruptResult,
    NotReady,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
    ResultExpired,
)

pytestmark = pytest.mark.anyio

KEY = {"Authorization": "Bearer c4nary", "xi-api-key": "c4nary", "Cookie": "c4nary"}


def _head(request: bytes) -> dict[str, str]:
    lines = request.decode().split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def test_the_bytes_come_as_they_were_sent() -> None:
    """Body, content type and length are the server's; the request is a plain GET that asks for no coding."""
    body = bytes(range(256)) * 2000
    async with (
        answering(http_reply(body, "Content-Type: audio/wav")) as server,
        downloading(server) as downloader,
        downloader.open(f"{server.url}/a?b=c", headers=KEY) as stream,
    ):
        assert (stream.content_type, stream.length) == ("audio/wav", len(body))
        assert b"".join([chunk async for chunk in stream.chunks]) == body
    assert server.requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    head = _head(server.requests[0])
    assert head["accept-encoding"] == "identity"
    assert (head["authorization"], head["xi-api-key"]) == ("Bearer c4nary", "c4nary")
    assert "range" not in head


async def test_the_end_stays_the_end() -> None:
    """Asked again after the last chunk, the body is still over, and that is no error."""
    async with (
        answering(http_reply(b"audio")) as server,
        downloading(server) as downloader,
        downloader.open(server.url) as stream,
    ):
        for expected in (b"audio", b"", b""):
            assert await anext(stream.chunks, b"") == expected


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n\r\naudio",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nau\r\n3\r\ndio\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\naudio\r\n0\r\n\r\n",
    ],
)
async def test_a_length_that_was_not_said_is_none(reply: bytes) -> None:
    """A body that ends with the connection or in chunks has no length, whatever else is claimed."""

    async def once(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with (
        serving(once) as server,
        downloading(server) as downloader,
        downloader.open(server.url) as stream,
    ):
        assert (stream.content_type, stream.length) == (None, None)
        assert b"".join([chunk async for chunk in stream.chunks]) == b"audio"


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("202 Accepted", NotReady, "result_not_ready"),
        ("403 Forbidden", ResultExpired, "result_expired"),
        ("404 Not Found", ResultExpired, "result_expired"),
        ("410 Gone", ResultExpired, "result_expired"),
        ("204 No Content", ProviderUnavailable, "provider_unavailable"),
        ("206 Partial Content", ProviderUnavailable, "provider_unavailable"),
        ("300 Multiple Choices", ProviderUnavailable, "provider_unavailable"),
        ("304 Not Modified", ProviderUnavailable, "provider_unavailable"),
        ("401 Unauthorized", ProviderUnavailable, "provider_unavailable"),
        ("429 Too Many Requests", ProviderUnavailable, "provider_unavailable"),
        ("500 Internal Server Error", ProviderUnavailable, "provider_unavailable"),
        ("503 Service Unavailable", ProviderUnavailable, "provider_unavailable"),
    ],
)
async def test_what_a_status_means(status: str, error: type[ProviderError], code: str) -> None:
    """The error is exactly this one, knows when to ask again, and is never ambiguous."""
    body = b"" if status[:3] in ("204", "304") else b"c4nary"
    reply = http_reply(body, "Retry-After: 7", status=status)
    async with answering(reply) as server, downloading(server) as downloader:
        with pytest.raises(ProviderError) as caught:
            await read(downloader, f"{server.url}/c4nary")
    assert (type(caught.value), caught.value.code) == (error, code)
    assert caught.value.retry_after == (None if error is ResultExpired else 7)
    assert not caught.value.ambiguous
    assert caught.value.detail == f"{server.url} answered {status[:3]}"


async def test_a_vendor_reads_its_own_errors() -> None:
    """``failure`` gets status, headers and body, and what it makes of them is raised."""
    reply = http_reply(b'{"code":"gone"}', "X-Request-Id: r1", status="404 Not Found")
    seen: list[Reply] = []

    def failure(reply: Reply) -> ProviderError:
        seen.append(reply)
        return ProviderRejected(provider_code="gone")

    async with answering(reply) as server, downloading(server) as downloader:
        with pytest.raises(ProviderRejected):
            async with downloader.open(f"{server.url}/a?b", failure=failure):
                pass
    assert (seen[0].status, seen[0].headers["x-request-id"]) == (404, "r1")
    assert (seen[0].body, seen[0].url) == (b'{"code":"gone"}', f"{server.url}/a?b")


@pytest.mark.parametrize(
    "reply",
    [
        http_reply(b"x" * 1_000_000, status="500 Oops"),
        http_reply(b"x" * 70_000, status="500 Oops")[:-3000],
    ],
)
async def test_a_vendors_error_is_read_no_further_than_needed(reply: bytes) -> None:
    """At most 64 KiB, and a body that breaks off is as good as one that ends."""
    sizes: list[int] = []

    def failure(reply: Reply) -> ProviderError:
        sizes.append(len(reply.body))
        return ProviderRejected()

    async def once(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with serving(once) as server, downloading(server) as downloader:
        with pytest.raises(ProviderRejected):
            async with downloader.open(server.url, failure=failure):
                pass
    assert sizes == [64 * 1024]


async def test_a_202_is_not_the_vendors_to_read() -> None:
    """It means "later", for every vendor."""
    async with (
        answering(http_reply(b"", status="202 Accepted")) as server,
        downloading(server) as downloader,
    ):
        with pytest.raises(NotReady):
            async with downloader.open(server.url, failure=lambda _: ProviderRejected()):
                pass


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_no_credential_to_another_origin(status: int) -> None:
    """On the same host another port is another origin; neither key nor cookie goes there, or comes back."""
    async with answering(http_reply(b"audio")) as last:
        back = http_reply(b"", f"Location: {last.url}/b", status=f"{status} Moved")
        async with answering(back) as middle:
            there = http_reply(
                b"", f"Location: {middle.url}", "Set-Cookie: a=b", status=f"{status} Moved"
            )
            async with answering(there) as first, downloading(first, middle, last) as downloader:
                assert await read(downloader, first.url, KEY) == b"audio"
    assert b"c4nary" in first.requests[0]
    assert b"c4nary" not in middle.requests[0]
    assert b"c4nary" not in last.requests[0]
    assert "cookie" not in _head(last.requests[0])


async def test_a_redirect_within_the_origin_keeps_credentials() -> None:
    """A vendor that moves a result within its own API still wants its key there."""

    async def moving(peer: Peer) -> None:
        request = await peer.read_request() or b""
        seen.append(request)
        moved = http_reply(b"", "Location: /b", status="307 Moved")
        await peer.send(http_reply(b"audio") if request.startswith(b"GET /b ") else moved)

    seen: list[bytes] = []
    async with serving(moving) as server, downloading(server) as downloader:
        assert await read(downloader, f"{server.url}/a", KEY) == b"audio"
    assert [b"c4nary" in request for request in seen] == [True, True]


async def test_credentials_do_not_come_back_with_a_redirect() -> None:
    """Once we were sent away, where we are sent is somebody else's choice, be it our own origin."""
    seen: list[bytes] = []

    async def home(peer: Peer) -> None:
        request = await peer.read_request() or b""
        seen.append(request)
        away = http_reply(b"", f"Location: {abroad.url}", status="302 Found")
        await peer.send(http_reply(b"audio") if request.startswith(b"GET /b ") else away)

    async def send_back(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(http_reply(b"", f"Location: {server.url}/b", status="302 Found"))

    async with (
        serving(home) as server,
        serving(send_back) as abroad,
        downloading(server, abroad) as downloader,
    ):
        assert await read(downloader, f"{server.url}/a", KEY) == b"audio"
    assert [b"c4nary" in request for request in seen] == [True, False]


async def test_redirects_end() -> None:
    """As many as allowed are followed, and a loop is left."""
    loop = http_reply(b"", "Location: /again", status="302 Found")
    async with answering(loop) as server, downloading(server) as downloader:
        with pytest.raises(ProviderUnavailable, match="try again") as caught:
            await read(downloader, server.url)
    assert len(server.requests) == 6
    assert caught.value.detail == f"more than 5 redirects from {server.url}"


@pytest.mark.parametrize("headers", [[], ["Location: "]])
async def test_a_redirect_without_a_target(headers: list[str]) -> None:
    """It is an error of the server's, and not of our rules."""
    async with (
        answering(http_reply(b"", *headers, status="302 Found")) as server,
        downloading(server) as downloader,
    ):
        with pytest.raises(ProviderUnavailable) as caught:
            await read(downloader, server.url)
    assert (caught.value.code, len(server.requests)) == ("provider_unavailable", 1)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP"])
async def test_a_compressed_answer_is_refused(coding: str) -> None:
    """Nobody asked for it, and unpacking is how little becomes a lot."""
    async with (
        answering(http_reply(b"x" * 100, f"Content-Encoding: {coding}")) as server,
        downloading(server) as downloader,
    ):
        with pytest.raises(CorruptResult, match="not valid audio"):
            await read(downloader, server.url)


async def test_identity_is_no_compression() -> None:
    """Said aloud, it means nothing."""
    async with (
        answering(http_reply(b"audio", "Content-Encoding: Identity")) as server,
        downloading(server) as downloader,
    ):
        assert await read(downloader, server.url) == b"audio"


async def test_nobody_listens() -> None:
    """Asking again may help, and asking can't have done harm."""
    port = refused_port()
    downloader = Downloader(hosts=[], private=[f"127.0.0.1:{port}"], limits=QUICK)
    with pytest.raises(ProviderUnavailable) as caught:
        await read(downloader, f"http://127.0.0.1:{port}")
    assert (caught.value.retryable, caught.value.ambiguous) == (True, False)
    assert caught.value.detail == f"ConnectError at http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "headers", [{"X-Key": "c4nary\r\nX-Evil: 1"}, {"X-Key": "c4näry"}, {"": "c4nary"}]
)
async def test_a_header_that_cannot_be_sent(headers: dict[str, str]) -> None:
    """It is refused before anything leaves, without a word about its value."""
    async with answering(http_reply()) as server, downloading(server) as downloader:
        with pytest.raises(ProviderUnavailable) as caught:
            await read(downloader, server.url, headers)
    assert not caught.value.retryable
    assert "c4n" not in f"{caught.value!r}{caught.value.detail}"
    assert server.connections == 0


async def test_a_closed_downloader_opens_nothing() -> None:
    """Closing twice is harmless, too."""
    async with answering(http_reply()) as server, downloading(server) as downloader:
        await downloader.aclose()
        with pytest.raises(ProviderUnavailable):
            await read(downloader, server.url)
    assert server.connections == 0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_the_certificate_is_that_of_the_name(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two names on one vetted address: the one that the certificate is for is served, the other is refused,
    before and after, and nothing is said to it in clear."""
    requests: list[bytes] = []

    async def behaviour(peer: Peer) -> None:
        while request := await peer.read_request():
            requests.append(request)
            await peer.send(http_reply(b"audio"))

    names = Names({"a.media.test": [[PUBLIC]], "b.media.test": [[PUBLIC]]})
    wrapped = over_tls(_server_side(authority, "a.media.test"), behaviour)
    async with serving(wrapped) as server, internet(monkeypatch) as world:
        world.leads_to[PUBLIC, 443] = server.port
        downloader = Downloader(
            hosts=["*.media.test"], limits=QUICK, resolve=names, ssl_context=_client_side(authority)
        )
        for _ in range(2):
            # By plain http, too: it is raised.
            assert await read(downloader, "http://a.media.test/x", KEY) == b"audio"
            with pytest.raises(ProviderUnavailable) as caught:
                await read(downloader, "https://b.media.test/x", KEY)
            assert caught.value.detail == "ConnectError at https://b.media.test:443"
        await downloader.aclose()
    assert world.dialled == [(PUBLIC, 443)] * 4
    assert [_head(request)["host"] for request in requests] == ["a.media.test"] * 2


async def test_addresses_are_tried_in_turn(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that doesn't answer is no reason to give up on a name that has more."""

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(http_reply(b"audio"))

    names = Names({"a.media.test": [["1.1.1.1", "2606:4700::1", PUBLIC]]})
    wrapped = over_tls(_server_side(authority, "a.media.test"), behaviour)
    async with serving(wrapped) as server, internet(monkeypatch) as world:
        nobody = refused_port()
        world.leads_to |= {("1.1.1.1", 443): nobody, ("2606:4700::1", 443): nobody}
        world.leads_to[PUBLIC, 443] = server.port
        downloader = Downloader(
            hosts=["a.media.test"], limits=QUICK, resolve=names, ssl_context=_client_side(authority)
        )
        assert await read(downloader, "https://a.media.test/x") == b"audio"
        await downloader.aclose()
    assert world.dialled == [("1.1.1.1", 443), ("2606:4700::1", 443), (PUBLIC, 443)]


async def test_a_name_is_resolved_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that never answers costs no more than a connection may."""

    async def never(host: str, port: int) -> list[str]:
        await anyio.sleep_forever()
        return []

    async with internet(monkeypatch) as world:
        downloader = Downloader(hosts=["a.test"], limits=Limits(connect=0.05), resolve=never)
        with anyio.fail_after(2), pytest.raises(ProviderUnavailable) as caught:
            await read(downloader, "https://a.test/")
        assert caught.value.retryable
        assert world.dialled == []


async def _no_such_name(host: str, port: int) -> list[str]:
    raise OSError("c4nary")


async def _no_address(host: str, port: int) -> list[str]:
    return []


@pytest.mark.parametrize("resolve", [_no_such_name, _no_address])
async def test_a_name_that_leads_nowhere(resolve: object) -> None:
    """That is weather and not an attack: it may be asked again."""
    downloader = Downloader(hosts=["a.test"], limits=QUICK, resolve=resolve)  # type: ignore[arg-type]
    with pytest.raises(ProviderUnavailable) as caught:
        await read(downloader, "https://a.test/")
    assert (caught.value.code, caught.value.retryable) == ("provider_unavailable", True)


class _Chunks(httpx.AsyncByteStream):
    """A body as foreign transports have it: a generator, to be closed by whoever stops half way."""

    def __init__(self) -> None:
        self.ended = False
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(3):
                yield b""
                yield b"au"
        finally:
            self.ended = True

    async def aclose(self) -> None:
        self.closed = True


async def test_a_transport_of_the_hosts() -> None:
    """URLs are judged as ever, its answers are read and closed to the end, and it stays open."""
    body = _Chunks()
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=body))
    downloader = Downloader(hosts=["a.test"], transport=transport)
    with pytest.raises(ProviderUnavailable, match="does not download from"):
        await read(downloader, "https://b.test/")
    async with downloader.open("https://a.test/") as stream:
        assert await anext(stream.chunks) == b"au"
    assert body.ended
    assert body.closed
    assert await read(downloader, "https://a.test/") == b"auauau"


async def test_a_transport_that_fails() -> None:
    """Whatever it raises becomes ours, and nothing of it shows."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise ValueError(str(request.url))

    downloader = Downloader(hosts=["a.test"], transport=httpx.MockTransport(fail))
    with pytest.raises(ProviderUnavailable) as caught:
        await read(downloader, "https://a.test/c4nary")
    assert caught.value.detail == "ValueError at https://a.test:443"
    assert caught.value.__context__ is None


async def test_downloads_are_apart() -> None:
    """Two at a time from one downloader don't mix; leaving one unread takes nothing from the other."""

    async def echo(peer: Peer) -> None:
        request = await peer.read_request() or b""
        await peer.send(http_reply(request.split(b" ")[1] * 50_000))

    async with (
        serving(echo) as server,
        downloading(server) as downloader,
        downloader.open(f"{server.url}/1") as one,
    ):
        async with downloader.open(f"{server.url}/2") as two:
            assert (await anext(two.chunks)).startswith(b"/2")
        assert b"".join([chunk async for chunk in one.chunks]) == b"/1" * 50_000
