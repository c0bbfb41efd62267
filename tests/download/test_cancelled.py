"""Readers that go away, at any await and more than once: no socket, task or place is left behind."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from tests.download.internet import QUICK, at, downloading, read
from tests.http.raw_server import Peer, Server, http_reply, serving
from ttsorch._download import Downloader

pytestmark = pytest.mark.anyio

BODY = b"x" * 150_000
_STEPS = 40


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def _twice_cut(peer: Peer) -> None:
    """Redirects, then sends a body that breaks off, then its rest: every kind of await that we have."""
    request = await peer.read_request() or b""
    if request.startswith(b"GET / "):
        await peer.send(http_reply(b"", "Location: /a", status="302 Found"))
    elif b"ange: bytes=" in request:
        start = int(request.lower().partition(b"range: bytes=")[2].partition(b"-")[0])
        said = f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        reply = http_reply(BODY[start:], 'ETag: "1"', said, status="206 Partial Content")
        await peer.send(reply)
    else:
        await peer.send(http_reply(BODY, 'ETag: "1"')[:-50_000])


async def _drained(server: Server) -> None:
    with anyio.fail_after(5):
        while server.open_now:
            await anyio.lowlevel.checkpoint()


async def _cancelled(steps: int, times: int, call: Callable[[], Awaitable[object]]) -> None:
    """Start a reader, let the event loop turn ``steps`` times, and cancel it by its scope."""

    async def reader(scope: anyio.CancelScope) -> None:
        with scope:
            await call()

    for _ in range(times):
        scope = anyio.CancelScope()
        async with anyio.create_task_group() as group:
            group.start_soon(reader, scope)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            scope.cancel()


async def _cancelled_natively(
    steps: int, times: int, call: Callable[[], Awaitable[object]]
) -> None:
    """The same by asyncio's own cancellation, ``times`` over, which ignores shields."""

    async def reader() -> None:
        await call()

    task = asyncio.create_task(reader())
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])


def _unused(downloader: Downloader) -> bool:
    assert downloader._own is not None
    return downloader._own._room.value == 100


@pytest.mark.parametrize("native", [False, True])
async def test_a_storm_of_cancellations_costs_nothing(native: bool, anyio_backend: str) -> None:
    """120 schedules over redirect, body, resumption and close; after each, a download works at once, and in
    the end nothing is open."""
    if native and anyio_backend != "asyncio":
        return
    cancelled = _cancelled_natively if native else _cancelled
    async with serving(_twice_cut) as server:
        before = _open_files()
        async with downloading(server) as downloader:

            async def call() -> None:
                await read(downloader, server.url)

            for steps in range(_STEPS):
                for times in (1, 2, 3):
                    await cancelled(steps, times, call)
                    await _drained(server)
                    assert _unused(downloader)
                with anyio.fail_after(2):
                    assert await read(downloader, server.url) == BODY
        await _drained(server)
        assert _open_files() == before
    gc.collect()


async def test_no_task_is_left_behind(anyio_backend: str) -> None:
    """When a download ended, by its reader's cancellation or not, as many tasks run as before."""

    def tasks() -> int:
        if anyio_backend == "trio":
            import trio

            return trio.lowlevel.current_statistics().tasks_living
        return len(asyncio.all_tasks())

    async with serving(_twice_cut) as server, downloading(server) as downloader:

        async def call() -> None:
            await read(downloader, server.url)

        await call()
        await anyio.wait_all_tasks_blocked()
        before = tasks()
        for steps in (5, 10, 20):
            await _cancelled(steps, 1, call)
        await anyio.wait_all_tasks_blocked()
        assert tasks() == before


async def test_a_reader_that_stops_half_way_leaves_at_once() -> None:
    """The rest isn't read to the end, whose server never gets there; nothing is left to a collector."""

    async def endless(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"x" * 65_536)

    async with serving(endless) as server, downloading(server) as downloader:
        with anyio.fail_after(2):
            async with downloader.open(server.url) as stream:
                assert await anext(stream.chunks)
            await _drained(server)
        assert _unused(downloader)
    gc.collect()


async def test_a_source_that_is_never_entered_costs_nothing() -> None:
    """Opening is a plan; nothing is asked."""
    async with serving(_twice_cut) as server:
        downloader = Downloader(hosts=[], private=[at(server)], limits=QUICK)
        downloader.open(server.url)
        await downloader.aclose()
    assert server.connections == 0
