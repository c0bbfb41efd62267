"""Servers that send too much, too slowly or for too long cost little, and not for long."""

import os
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import anyio
import anyio.lowlevel
import pytest

from tests.download.internet import QUICK, at, downloading, read
from tests.http.raw_server import Peer, http_reply, serving
from ttsorch._download import Downloader, Limits
from ttsorch._download.pace import Pace
from ttsorch.errors import CorruptResult, ProviderError, ProviderTimeout

pytestmark = pytest.mark.anyio

MB = 1024 * 1024


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@cache
def _bomb() -> bytes:
    """512 MB of zeros, packed into half a MB."""
    packer = zlib.compressobj(level=1, wbits=31)
    zeros = bytes(8 * MB)
    return b"".join([packer.compress(zeros) for _ in range(64)]) + packer.flush()


async def _peak_growth(downloader: Downloader, url: str) -> tuple[int, int, ProviderError | None]:
    """How far memory grew while a download was read and thrown away, how many bytes came, how it ended."""
    before, peak, received = _resident(), 0, 0
    error = None
    try:
        async with downloader.open(url) as stream:
            async for chunk in stream.chunks:
                received += len(chunk)
                peak = max(peak, _resident())
    except ProviderError as caught:
        error = caught
    return max(peak, _resident()) - before, received, error


@pytest.mark.parametrize("coding", ["Content-Encoding: gzip", "Content-Type: audio/wav"])
async def test_a_bomb_is_not_unpacked(coding: str) -> None:
    """512 MB packed into a small body: refused when it is declared, else passed on packed."""
    bomb = _bomb()
    assert len(bomb) < 4 * MB

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(http_reply(bomb, coding))

    async with serving(behaviour) as server, downloading(server) as downloader:
        growth, received, error = await _peak_growth(downloader, server.url)
    assert growth < 32 * MB
    assert (received, type(error)) in [(0, CorruptResult), (len(bomb), type(None))]
    assert (received == 0) == (coding == "Content-Encoding: gzip")


@pytest.mark.parametrize("length", ["", "Content-Length: 2147483648\r\n"])
async def test_a_flood_is_cut_off(length: str) -> None:
    """2 GB are refused as soon as they are announced, else as soon as more came than may."""
    zeros = bytes(256 * 1024)

    async def flood(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        for _ in range(2048 * 4):
            await peer.send(zeros)

    limits = Limits(max_bytes=48 * MB)
    async with serving(flood) as server, downloading(server, limits=limits) as downloader:
        growth, received, error = await _peak_growth(downloader, server.url)
    assert isinstance(error, CorruptResult)
    assert error.code == "result_too_large"
    assert growth < 32 * MB
    assert received == 0 if length else 47 * MB < received <= 48 * MB


@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("announced", [True, False])
async def test_the_limit_is_exact(excess: int, announced: bool) -> None:
    """The last byte allowed is allowed."""
    body = b"x" * (1000 + excess)
    reply = http_reply(body) if announced else b"HTTP/1.1 200 OK\r\n\r\n" + body

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with (
        serving(behaviour) as server,
        downloading(server, limits=Limits(max_bytes=1000)) as downloader,
    ):
        if excess <= 0:
            assert await read(downloader, server.url) == body
            return
        with pytest.raises(CorruptResult) as caught:
            await read(downloader, server.url)
    assert caught.value.code == "result_too_large"


@asynccontextmanager
async def _dripping(beginning: bytes, drop: bytes, every: float) -> AsyncIterator[str]:
    """The URL of a server that never ends, and never hurries."""

    async def drip(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(beginning)
        while True:
            await anyio.sleep(every)
            await peer.send(drop)

    async with serving(drip) as server:
        yield server.url


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("beginning", "drop", "limits"),
    [
        pytest.param(HEAD, b"", Limits(stall=0.2), id="silence in the body"),
        pytest.param(b"", b"", Limits(stall=0.2, connect=0.02), id="silence before the head"),
        pytest.param(b"", b"X", Limits(stall=0.2, connect=0.02), id="a head by drops"),
        pytest.param(CHUNKED + b"5;", b"x", Limits(stall=0.2), id="the frame of a chunk by drops"),
        pytest.param(HEAD, b"x", Limits(min_rate=1000, rate_window=0.2), id="a body by drops"),
        pytest.param(
            CHUNKED, b"1\r\nx\r\n", Limits(min_rate=1000, rate_window=0.2), id="chunks by drops"
        ),
        pytest.param(HEAD, b"x" * 100, Limits(deadline=0.2), id="fast enough, for ever"),
    ],
)
async def test_a_server_that_takes_its_time_is_left(
    beginning: bytes, drop: bytes, limits: Limits
) -> None:
    """However it plays for time, the limit that it runs into holds to the second."""
    async with _dripping(beginning, drop, every=0.005) as url:
        place = url.removeprefix("http://")
        downloader = Downloader(hosts=[], private=[place], limits=limits)
        began = time.monotonic()
        with pytest.raises(ProviderTimeout) as caught:
            await read(downloader, f"{url}/c4nary")
        assert 0.15 < time.monotonic() - began < 1.2
        await downloader.aclose()
    assert caught.value.code == "download_too_slow"
    assert (caught.value.retryable, caught.value.ambiguous) == (True, False)
    assert place in (caught.value.detail or "")
    assert "c4nary" not in (caught.value.detail or "")
    assert caught.value.__context__ is None


async def test_redirects_share_one_deadline() -> None:
    """A chain of slow hops isn't given the time of a download each."""

    async def slow_redirect(peer: Peer) -> None:
        await peer.read_request()
        await anyio.sleep(0.08)
        await peer.send(http_reply(b"", "Location: /", status="302 Found"))

    limits = Limits(deadline=0.2, max_hops=100)
    async with serving(slow_redirect) as server, downloading(server, limits=limits) as downloader:
        with pytest.raises(ProviderTimeout):
            await read(downloader, server.url)
    assert server.connections < 5


async def test_a_slow_error_is_cut_off() -> None:
    """What a vendor says about its failure isn't worth waiting for drop by drop."""
    bodies: list[bytes] = []
    async with _dripping(b"HTTP/1.1 500 Oops\r\n\r\n", b"x", every=0.005) as url:
        limits = Limits(stall=0.1)
        downloader = Downloader(hosts=[], private=[url.removeprefix("http://")], limits=limits)

        def failure(reply: object) -> ProviderError:
            bodies.append(getattr(reply, "body", b""))
            return ProviderError()

        with anyio.fail_after(1), pytest.raises(ProviderError):
            async with downloader.open(url, failure=failure):
                pass
    assert 0 < len(bodies[0]) < 100


async def test_an_error_without_an_end_is_not_read_on() -> None:
    """However fast it comes: what fits is enough, and the server is left at once."""

    async def flood(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            await peer.send(b"x" * 65_536)

    async with serving(flood) as server, downloading(server, limits=Limits()) as downloader:
        with anyio.fail_after(5), pytest.raises(ProviderError):
            async with downloader.open(server.url, failure=lambda _: ProviderError()):
                pass


def test_only_waiting_for_the_server_counts() -> None:
    """A reader that takes an hour over a chunk isn't the server's fault; the deadline alone goes on."""
    limits = Limits(deadline=4000, stall=30, min_rate=10, rate_window=30)
    pace = Pace(limits, now=0.0)
    assert pace.keeps_up(1, waited=20)
    assert pace.for_a_chunk(now=3600) == 10
    assert pace.for_a_chunk(now=3995) == 5
    assert pace.for_a_chunk(now=4001) == 0
    assert pace.for_a_head(now=3990) == 10


def test_the_rate_is_that_of_each_window() -> None:
    """Speed at the beginning doesn't pay for slowness later, and a window with enough in it just ends."""
    pace = Pace(Limits(stall=30, min_rate=10, rate_window=20), now=0.0)
    assert pace.keeps_up(1_000_000, waited=10)
    assert pace.for_a_chunk(now=10) == 30
    assert pace.keeps_up(1, waited=15)
    assert pace.for_a_chunk(now=25) == 20
    assert pace.keeps_up(199, waited=10)
    assert not pace.keeps_up(0, waited=10)


async def test_limits_of_a_healthy_download_are_not_felt() -> None:
    """Pieces with pauses in between arrive whole."""

    async def pieces(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
            await peer.send(b"x")

    async with serving(pieces) as server:
        downloader = Downloader(hosts=[], private=[at(server)], limits=QUICK)
        assert await read(downloader, server.url) == b"x" * 10
        await downloader.aclose()
