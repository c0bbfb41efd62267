"""A body that breaks off: taken up where it stopped when it is certainly the same, else an error."""

import re
from collections.abc import Callable

import pytest

from tests.download.internet import QUICK, downloading, read
from tests.http.raw_server import Peer, http_reply, serving
from ttsorch._download import Limits
from ttsorch.errors import CorruptResult, ProviderError, ProviderTimeout, ProviderUnavailable

pytestmark = pytest.mark.anyio

BODY = bytes(range(256)) * 40
ETAG = '"v1"'
LAST = len(BODY) - 1

# The first 1000 bytes in a chunk, and no end.
CHUNKED = (
    f"HTTP/1.1 200 OK\r\nETag: {ETAG}\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n".encode()
    + BODY[:1000]
    + b"\r\n"
)

Respond = Callable[[int, bytes], bytes]


def _first(body: bytes = BODY, *headers: str, sent: int = 1000) -> bytes:
    return http_reply(body, *headers)[: sent - len(body)]


def _endless(said: str, body: bytes) -> bytes:
    """A 206 whose body ends with the connection: its range is all that is said about its length."""
    head = f"HTTP/1.1 206 Partial Content\r\nETag: {ETAG}\r\nContent-Range: {said}\r\n\r\n"
    return head.encode() + body


def _rest(
    start: int,
    *,
    etag: str = ETAG,
    said: str | None = None,
    body: bytes | None = None,
    more: str = "",
) -> bytes:
    said = f"bytes {start}-{LAST}/{len(BODY)}" if said is None else said
    headers = [f"ETag: {etag}", f"Content-Range: {said}"] + ([more] if more else [])
    body = BODY[start:] if body is None else body
    return http_reply(body, *headers, status="206 Partial Content")


async def _download(
    respond: Respond, limits: Limits = QUICK
) -> tuple[bytes | ProviderError, list[bytes]]:
    """What comes of a server that answers its n-th request with ``respond(n, request)`` and hangs up."""
    requests: list[bytes] = []

    async def behaviour(peer: Peer) -> None:
        request = await peer.read_request() or b""
        requests.append(request)
        await peer.send(respond(len(requests) - 1, request))

    async with serving(behaviour) as server, downloading(server, limits=limits) as downloader:
        try:
            return await read(downloader, server.url, {"X-Key": "c4nary"}), requests
        except ProviderError as error:
            return error, requests


def _start_of(request: bytes) -> int:
    found = re.search(rb"range: bytes=([0-9]+)-\r\n", request)
    assert found
    return int(found[1])


async def test_the_rest_is_asked_for_and_put_behind() -> None:
    """Broken off twice, the audio is whole; the server is asked for the rest of that very version."""

    def respond(turn: int, request: bytes) -> bytes:
        if turn == 0:
            return _first(BODY, f"ETag: {ETAG}")
        start = _start_of(request)
        return _rest(start) if turn == 2 else _rest(start)[: -(len(BODY) - start - 500)]

    got, requests = await _download(respond)
    assert got == BODY
    assert [_start_of(request) for request in requests[1:]] == [1000, 1500]
    for request in requests[1:]:
        assert f"if-range: {ETAG}\r\n".encode() in request.lower()
        assert b"c4nary" in request
        assert b"accept-encoding: identity\r\n" in request.lower()


async def test_a_chunked_body_is_resumed_too() -> None:
    """Without a length, the range tells how long the whole is."""

    def respond(turn: int, request: bytes) -> bytes:
        return _rest(_start_of(request)) if turn else CHUNKED

    got, _ = await _download(respond)
    assert got == BODY


@pytest.mark.parametrize(
    "headers", [[], ['ETag: W/"v1"'], ["ETag: v1"], ['ETag: ""'], ['ETag: "v1", "v2"']]
)
async def test_without_a_strong_etag_nothing_is_resumed(headers: list[str]) -> None:
    """A weak one promises the same meaning, not the same bytes."""
    got, requests = await _download(lambda *_: _first(BODY, *headers))
    assert isinstance(got, ProviderUnavailable)
    assert got.retryable
    assert "broke off after 1000 bytes; it has no strong ETag" in (got.detail or "")
    assert len(requests) == 1


@pytest.mark.parametrize(
    "rest",
    [
        http_reply(BODY, f"ETag: {ETAG}"),
        http_reply(BODY[1000:], f"ETag: {ETAG}", f"Content-Range: bytes 1000-{LAST}/{len(BODY)}"),
        http_reply(b"", status="416 Range Not Satisfiable"),
        _endless(f"bytes 999-{LAST}/{len(BODY)}", BODY[1000:]),
        _endless(f"bytes 1000-{LAST - 1}/{len(BODY)}", BODY[1000:]),
        _endless(f"bytes 1000-{LAST - 1}/{LAST}", BODY[1000:-1]),
        http_reply(b"", status="404 Not Found"),
        _rest(1000, etag='"v2"'),
        _rest(1000, etag='W/"v1"'),
        _rest(1000, etag=""),
        _rest(1000, said=f"bytes 1001-{LAST}/{len(BODY)}"),
        _rest(1000, said=f"bytes 0-{LAST}/{len(BODY)}"),
        _rest(1000, said=f"bytes 1000-{len(BODY)}/{len(BODY) + 1}"),
        _rest(1000, said=f"bytes 1000-{len(BODY) - 2}/{len(BODY)}", body=BODY[1000:-1]),
        _rest(1000, said=f"bytes 1000-{LAST}/*"),
        _rest(1000, said="bytes */*"),
        _rest(1000, said=""),
        _rest(1000, said=f"chunks 1000-{LAST}/{len(BODY)}"),
        _rest(1000, body=BODY[1001:]),
        _rest(1000, body=BODY[999:]),
        _rest(1000, more="Content-Encoding: gzip"),
    ],
)
async def test_what_is_not_certainly_the_rest_is_an_error(rest: bytes) -> None:
    """Another version, another range, another length or no range at all: the caller starts afresh."""

    def respond(turn: int, request: bytes) -> bytes:
        return rest if turn else _first(BODY, f"ETag: {ETAG}")

    got, requests = await _download(respond)
    assert isinstance(got, ProviderUnavailable)
    assert got.retryable
    assert len(requests) == 2


async def test_resumptions_are_counted() -> None:
    """A server that breaks off again and again is left."""

    def respond(turn: int, request: bytes) -> bytes:
        if turn == 0:
            return _first(BODY, f"ETag: {ETAG}")
        start = _start_of(request)
        return _rest(start)[: -(len(BODY) - start - 100)]

    got, requests = await _download(respond)
    assert isinstance(got, ProviderUnavailable)
    assert "broke off after 1300 bytes; it was resumed 3 times" in (got.detail or "")
    assert len(requests) == 4


async def test_a_rest_that_is_too_large_is_not_waited_for() -> None:
    """A whole that is first heard of in a range isn't allowed more than any other."""

    def respond(turn: int, request: bytes) -> bytes:
        return _endless("bytes 1000-999999999999/1000000000000", b"") if turn else CHUNKED

    got, requests = await _download(respond)
    assert isinstance(got, CorruptResult)
    assert (got.code, len(requests)) == ("result_too_large", 2)


@pytest.mark.parametrize("first", [_first(BODY, f"ETag: {ETAG}"), CHUNKED])
async def test_a_rest_without_a_length_ends_where_its_range_says(first: bytes) -> None:
    """A byte more is one too many, and a byte less is broken off again."""

    async def got(*rests: bytes) -> tuple[bytes | ProviderError, int]:
        replies = (first, *rests)
        result, requests = await _download(lambda turn, _: replies[turn])
        return result, len(requests)

    said, rest = f"bytes 1000-{LAST}/{len(BODY)}", BODY[1000:]
    assert await got(_endless(said, rest)) == (BODY, 2)
    assert await got(_endless(said, rest[:-1]), _rest(LAST)) == (BODY, 3)
    error, _ = await got(_endless(said, rest + b"x"))
    assert isinstance(error, CorruptResult)
    assert "more bytes than it announced" in (error.detail or "")


async def test_nothing_is_missing_when_all_bytes_are_there() -> None:
    """A connection that breaks after the last byte isn't asked for nothing."""
    chunk = f"{len(BODY) - 1000:x}\r\n".encode() + BODY[1000:] + b"\r\n"
    head = f"ETag: {ETAG}\r\nContent-Range: bytes 1000-{LAST}/{len(BODY)}\r\n"
    unfinished = f"HTTP/1.1 206 Rest\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk
    got, requests = await _download(lambda turn, _: unfinished if turn else CHUNKED)
    assert got == BODY
    assert len(requests) == 2


async def test_a_redirect_on_resuming_is_judged_like_the_first() -> None:
    """The rest may not come from where the beginning could not have."""

    def respond(turn: int, request: bytes) -> bytes:
        away = http_reply(b"", "Location: https://127.0.0.1/", status="302 Found")
        return away if turn else _first(BODY, f"ETag: {ETAG}")

    got, _ = await _download(respond)
    assert isinstance(got, ProviderUnavailable)
    assert (got.code, got.retryable) == ("result_url_blocked", False)


async def test_the_rest_comes_from_the_same_origin() -> None:
    """The same ETag elsewhere means nothing; and no credential goes there to find out."""
    seen: list[bytes] = []

    async def elsewhere(peer: Peer) -> None:
        seen.append(await peer.read_request() or b"")
        await peer.send(_rest(1000))

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        away = http_reply(b"", f"Location: {other.url}", status="302 Found")
        await peer.send(away if peer.number else _first(BODY, f"ETag: {ETAG}"))

    async with (
        serving(elsewhere) as other,
        serving(behaviour) as server,
        downloading(server, other) as downloader,
    ):
        with pytest.raises(ProviderUnavailable) as caught:
            await read(downloader, server.url, {"X-Key": "c4nary"})
    assert "the rest is of something else" in (caught.value.detail or "")
    assert b"c4nary" not in seen[0]


@pytest.mark.parametrize(
    "reply",
    [
        _first(BODY),
        _first(BODY, sent=0),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\naudio\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\naud",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
    ],
)
async def test_a_body_cut_short_is_an_error(reply: bytes) -> None:
    """Less than announced, or chunks without an end: never a shorter audio."""
    got, _ = await _download(lambda *_: reply)
    assert isinstance(got, ProviderUnavailable)
    assert got.retryable


async def test_an_end_is_never_made_up_after_an_error() -> None:
    """Who goes on reading after a failure gets a failure, even of a body that may end anywhere."""

    async def fall_silent(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\naudio")
        await peer.read_request()

    async with (
        serving(fall_silent) as server,
        downloading(server, limits=Limits(stall=0.05)) as downloader,
        downloader.open(server.url) as stream,
    ):
        assert await anext(stream.chunks) == b"audio"
        with pytest.raises(ProviderTimeout):
            await anext(stream.chunks)
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await anext(stream.chunks)
