"""Callers that go away: nothing is torn down, nothing is lost, nothing is left behind."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.http.raw_server import Peer, Server, answering, http_reply, serving
from ttsorch._http import HttpClient, get_request
from ttsorch._http.transport import LineTransport
from ttsorch.errors import ProviderUnavailable

pytestmark = pytest.mark.anyio

_STEPS = 24
_REPEATS = 4
_POOLS = (1, 2, 3, 4)


def _open_files() -> int:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))


async def _cancelled_after(
    steps: int, repeats: int, callers: int, call: Callable[[], Awaitable[object]]
) -> None:
    """Start callers, let the event loop turn ``steps`` times, and cancel them; then again."""

    async def caller(scope: anyio.CancelScope) -> None:
        with scope:
            await call()

    for _ in range(repeats + 1):
        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope() for _ in range(callers)]
            for scope in scopes:
                group.start_soon(caller, scope)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            for scope in scopes:
                scope.cancel()


@pytest.mark.parametrize("pool", _POOLS)
async def test_a_storm_of_cancellations_costs_no_connection(pool: int) -> None:
    """Callers are cancelled at every await, up to four times over, in 96 schedules per pool size; after
    each schedule a healthy exchange succeeds at once, and in the end nothing is left open."""
    async with answering(http_reply()) as server:
        before = _open_files()
        async with HttpClient(max_connections=pool) as http:

            async def ask() -> None:
                await http.exchange(get_request(server.url), deadline=5)

            for steps in range(_STEPS):
                for repeats in range(_REPEATS):
                    await _cancelled_after(steps, repeats, pool, ask)
                    with anyio.fail_after(1):
                        await ask()
        await _drained(server)
        assert _open_files() == before


@pytest.mark.parametrize("pool", _POOLS)
async def test_the_transport_itself_survives_a_storm(pool: int) -> None:
    """Even cancelled in the middle, as any httpx client may be, the transport loses no slot."""
    async with answering(http_reply(b"x" * 70_000)) as server:
        before = _open_files()
        transport = LineTransport(max_connections=pool)
        async with httpx.AsyncClient(transport=transport, timeout=1) as http:

            async def ask() -> None:
                await http.get(server.url)

            for steps in range(_STEPS):
                for repeats in range(_REPEATS):
                    await _cancelled_after(steps, repeats, pool, ask)
                    await ask()
        await _drained(server)
        assert _open_files() == before


async def _drained(server: Server) -> None:
    with anyio.fail_after(5):
        while server.open_now:
            await anyio.lowlevel.checkpoint()


async def test_native_cancellation_is_no_different(anyio_backend: str) -> None:
    """asyncio's own cancel ignores cancel scopes; the exchange goes on under it all the same."""
    if anyio_backend != "asyncio":
        return
    async with answering(http_reply()) as server, HttpClient(max_connections=1) as http:
        for steps in range(_STEPS):
            task = asyncio.create_task(http.exchange(get_request(server.url), deadline=5))
            for _ in range(steps):
                await asyncio.sleep(0)
            for _ in range(3):
                task.cancel()
            await asyncio.wait([task])
            async with asyncio.timeout(1):
                await http.exchange(get_request(server.url), deadline=5)
        assert server.connections == 1


async def test_trio_need_not_be_there(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On asyncio, an exchange works in a process that never imported trio."""
    if anyio_backend != "asyncio":
        return
    async with answering(http_reply()) as server, HttpClient() as http:
        monkeypatch.delitem(sys.modules, "trio", raising=False)
        assert await _ask(http, server.url) == 200


async def test_a_cancelled_caller_returns_at_once_and_the_exchange_goes_on() -> None:
    """The caller doesn't wait for a slow server; the server is answered and its connection reused."""
    received, answer = anyio.Event(), anyio.Event()

    async def slow(peer: Peer) -> None:
        while await peer.read_request():
            received.set()
            await answer.wait()
            await peer.send(http_reply())

    async with serving(slow) as server, HttpClient(max_connections=1) as http:
        async with anyio.create_task_group() as group:
            group.start_soon(_ask, http, server.url)
            await received.wait()
            group.cancel_scope.cancel()
        answer.set()
        await _ask(http, server.url)
    assert server.connections == 1


async def _ask(http: HttpClient, url: str) -> int:
    return (await http.exchange(get_request(url), deadline=5)).status


async def test_a_caller_that_is_cancelled_already_sends_nothing() -> None:
    """A paid call isn't begun for somebody who has left."""
    async with answering(http_reply()) as server, HttpClient() as http:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await _ask(http, server.url)
    assert server.connections == 0


async def test_closing_waits_for_exchanges_under_way() -> None:
    """An exchange that ends within the grace is answered, although its client was being closed."""
    received, answer = anyio.Event(), anyio.Event()

    async def slow(peer: Peer) -> None:
        await peer.read_request()
        received.set()
        await answer.wait()
        await peer.send(http_reply())

    statuses: list[int] = []

    async def ask(http: HttpClient, url: str) -> None:
        statuses.append(await _ask(http, url))

    async with serving(slow) as server, anyio.create_task_group() as group:
        http = HttpClient()
        group.start_soon(ask, http, server.url)
        await received.wait()
        group.start_soon(http.aclose)
        await anyio.wait_all_tasks_blocked()
        answer.set()
    assert statuses == [200]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_closing_stops_what_does_not_end(scheme: str) -> None:
    """After the grace, exchanges are stopped, in a TLS handshake too: their callers hear that the outcome
    is unknown, and no socket stays open."""
    received = anyio.Event()
    errors: list[ProviderUnavailable] = []

    async def hang(peer: Peer) -> None:
        await peer.stream.receive()
        received.set()
        while True:
            await peer.stream.receive()

    async def ask(http: HttpClient, url: str) -> None:
        with pytest.raises(ProviderUnavailable) as caught:
            await _ask(http, url)
        errors.append(caught.value)

    async def hang_until_left(peer: Peer) -> None:
        try:
            await hang(peer)
        except anyio.EndOfStream:
            pass

    async with serving(hang_until_left) as server, anyio.create_task_group() as group:
        http = HttpClient(grace=0.05)
        group.start_soon(ask, http, server.url.replace("http:", f"{scheme}:"))
        await received.wait()
        await http.aclose()
        await _drained(server)
    assert [error.ambiguous for error in errors] == [True]


async def test_closing_is_not_itself_cut_short() -> None:
    """A client that is left under cancellation ends its exchanges and closes its connections all the same."""
    received = anyio.Event()

    async def hang(peer: Peer) -> None:
        await peer.read_request()
        received.set()
        await peer.read_request()

    async def ask(http: HttpClient, url: str) -> None:
        with pytest.raises(ProviderUnavailable):
            await _ask(http, url)

    async with serving(hang) as server, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with HttpClient(grace=0.05) as http:
                group.start_soon(ask, http, server.url)
                await received.wait()
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        await _drained(server)


async def test_no_task_is_left_behind(anyio_backend: str) -> None:
    """When a client is closed, the event loop runs as many tasks as before."""

    def tasks() -> int:
        if anyio_backend == "trio":
            import trio

            return trio.lowlevel.current_statistics().tasks_living
        return len(asyncio.all_tasks())

    async def answer(request: httpx.Request) -> httpx.Response:
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        return httpx.Response(200)

    before = tasks()
    async with HttpClient(transport=httpx.MockTransport(answer)) as http:
        await _cancelled_after(5, 0, 4, lambda: _ask(http, "https://vendor.test"))
        assert tasks() == before + 4
    await anyio.lowlevel.checkpoint()
    assert tasks() == before
