"""The bridge between a thread with a request and the loop with the handler, without a framework."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

import pytest

from tests.adapters.blobs import LARGE, WatchedBlobs, large_link, put_large
from tests.contract.world import SIGNING_KEY, VOICE, World, a_world
from ttsorch.adapters import _sync_exchange
from ttsorch.adapters._sync_bridge import Chunks, SyncBridge, SyncResponse
from ttsorch.adapters._sync_exchange import SyncRequest
from ttsorch.contract import ClientGone, ContractHandler, bodies
from ttsorch.orchestrator import Orchestrator
from ttsorch.sync import SyncOrchestrator

Backend = Literal["asyncio", "trio"]

#: In seconds; generous, because tests share their machine.
PATIENCE = 30.0

JOB = b'{"voice_id": "%s", "text": "Hello"}' % VOICE.encode()

make_handler = partial(ContractHandler, signing_key=SIGNING_KEY)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Both event loops."""
    chosen: Backend = request.param
    return chosen


class Site:
    """A world on a loop, and the bridge to it."""

    def __init__(self, backend: Backend) -> None:
        self.blobs = WatchedBlobs()
        self.tts = SyncOrchestrator(self._open, backend=backend)
        self.bridge = SyncBridge(self.tts, make_handler)
        self.world: World | None = None

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Orchestrator]:
        async with a_world(blobs=self.blobs) as self.world:
            yield self.world.orchestrator

    def assert_nothing_written(self) -> None:
        assert self.world is not None
        world = self.world
        self.tts.run(lambda _: world.assert_nothing_written())

    def download(self) -> Chunks:
        """The body of a large download, not begun."""
        assert self.world is not None
        world = self.world
        self.tts.run(lambda _: put_large(world))
        path, _, query = large_link(world, SIGNING_KEY).partition("?")
        response = self.bridge.handle(a_request("GET", path, query=query))
        assert isinstance(response.body, Chunks)
        assert response.headers["content-length"] == str(LARGE)
        return response.body


@pytest.fixture
def site(backend: Backend) -> Iterator[Site]:
    opened = Site(backend)
    with opened.tts:
        yield opened


def no_body(size: int) -> bytes:
    return b""


def ann() -> str:
    return "ann"


def a_request(
    method: str,
    path: str,
    *,
    query: str = "",
    read: Callable[[int], bytes] = no_body,
    authenticate: Callable[[], str | None] = ann,
    **headers: str,
) -> SyncRequest:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return SyncRequest(method, path, query, sent, read, authenticate, "", "http", None)


def in_pieces(*pieces: bytes) -> Callable[[int], bytes]:
    rest = list(pieces)
    return lambda size: rest.pop(0) if rest else b""


def status_of(response: SyncResponse) -> int:
    assert isinstance(response.body, bytes)
    return response.status


# --- the request's thread -----------------------------------------------------------------------------


def test_the_framework_is_touched_in_the_thread_of_the_request_only(site: Site) -> None:
    """Who is asking, and the body: where the database connection and the context are."""
    threads: list[threading.Thread] = []
    pieces = in_pieces(JOB[:9], JOB[9:])

    def authenticate() -> str:
        threads.append(threading.current_thread())
        return "ann"

    def read(size: int) -> bytes:
        threads.append(threading.current_thread())
        return pieces(size)

    request = a_request("POST", "/api/generate", read=read, authenticate=authenticate)
    assert status_of(site.bridge.handle(request)) == 200
    assert threads == [threading.current_thread()] * 4  # one of them finds the end


def test_a_body_of_known_length_is_not_read_beyond_it(site: Site) -> None:
    """A server whose connection stays open has nothing more to give, and a read would wait for ever."""
    asked: list[int] = []

    def read(size: int) -> bytes:
        asked.append(size)
        return JOB[:size]

    request = a_request("POST", "/api/generate", read=read, content_length=str(len(JOB)))
    assert status_of(site.bridge.handle(request)) == 200
    assert asked == [len(JOB)]


def test_what_stops_the_thread_itself_comes_out(site: Site) -> None:
    """A worker that is told to end must not find its own end turned into an answer."""

    def interrupt() -> str:
        raise KeyboardInterrupt

    def interrupt_later(size: int) -> bytes:
        raise SystemExit

    with pytest.raises(KeyboardInterrupt):
        site.bridge.handle(a_request("GET", "/api/tasks", authenticate=interrupt))
    with pytest.raises(SystemExit):
        site.bridge.handle(a_request("POST", "/api/generate", read=interrupt_later))
    site.assert_nothing_written()


@pytest.mark.parametrize("error", [OSError("timed out"), ClientGone()])
def test_a_body_that_can_not_be_read_on_means_that_the_client_left(
    site: Site, error: Exception
) -> None:
    """Whatever the server calls it."""

    def read(size: int) -> bytes:
        raise error

    with pytest.raises(ClientGone):
        site.bridge.handle(a_request("POST", "/api/generate", read=read))
    site.assert_nothing_written()


def test_a_body_that_ends_too_early_means_that_the_client_left(site: Site) -> None:
    """What came so far is good JSON, and still not what was sent."""
    declared = str(len(JOB) + 1)
    request = a_request("POST", "/api/generate", read=in_pieces(JOB), content_length=declared)
    with pytest.raises(ClientGone):
        site.bridge.handle(request)
    site.assert_nothing_written()


@pytest.mark.parametrize("length", ["²", "x", "-1", "9" * 5000])
def test_a_length_that_is_none_is_not_believed(site: Site, length: str) -> None:
    """A server that let it through ends the body by itself."""
    request = a_request("POST", "/api/generate", read=in_pieces(JOB), content_length=length)
    assert status_of(site.bridge.handle(request)) in (200, 413)


def test_chunks_count_more_than_a_length(site: Site) -> None:
    """RFC 9112, 6.3: of the two, the coding says where the body ends."""
    request = a_request(
        "POST",
        "/api/generate",
        read=in_pieces(JOB),
        content_length="1",
        transfer_encoding="chunked",
    )
    assert status_of(site.bridge.handle(request)) == 200


def test_a_body_that_came_too_late_is_a_408(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can take a thread away from its server, but what it brings at last isn't used."""
    monkeypatch.setattr(bodies, "_RECEIVE_SECONDS", 0.05)
    assert site.world is not None
    world, given_up = site.world, threading.Event()
    handle = ContractHandler.handle

    async def watched(handler: ContractHandler, request: object) -> object:
        try:
            return await handle(handler, request)  # type: ignore[arg-type]
        finally:
            given_up.set()

    monkeypatch.setattr(ContractHandler, "handle", watched)

    def read(size: int) -> bytes:
        assert given_up.wait(PATIENCE)
        return JOB

    response = site.bridge.handle(a_request("POST", "/api/generate", read=read))
    assert status_of(response) == 408
    site.tts.run(lambda _: world.assert_nothing_written())


# --- streamed bodies ----------------------------------------------------------------------------------


def test_a_body_is_read_as_it_is_asked_for(site: Site) -> None:
    """Nothing before the first chunk is wanted, and one chunk for each that is."""
    body = site.download()
    assert site.blobs.read == 0
    first = next(body)
    assert site.blobs.read == len(first)
    whole = len(first) + sum(map(len, body))
    assert whole == LARGE
    assert next(body, None) is None
    assert site.blobs.closed.wait(PATIENCE)
    body.close()


def test_a_body_that_is_closed_early_closes_the_blob(site: Site) -> None:
    """As a WSGI server does when its client left; and it stays closed."""
    body = site.download()
    next(body)
    body.close()
    assert site.blobs.closed.wait(PATIENCE)
    assert site.blobs.read < LARGE
    assert list(body) == []
    body.close()


def test_a_body_that_nobody_reads_opens_nothing(site: Site) -> None:
    """Middleware may have dropped it for an answer of its own."""
    site.download().close()
    assert not site.blobs.closed.is_set()
    assert site.blobs.read == 0


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_body_that_nobody_asks_for_any_more_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, chunks: int
) -> None:
    """Neither read on nor closed: a client that stalled, or a server that forgot it."""
    monkeypatch.setattr(_sync_exchange, "STALLED_SECONDS", 0.05)
    body = site.download()
    for _ in range(chunks):
        next(body)
    ended = threading.Event()
    body._future.add_done_callback(lambda future: ended.set())
    assert ended.wait(PATIENCE)
    assert site.blobs.closed.is_set() == bool(chunks)
    with pytest.raises(ClientGone):
        next(body)


# --- an orchestrator that doesn't run -----------------------------------------------------------------


def assert_not_running(response: SyncResponse) -> None:
    assert response.status == 500
    assert response.headers["x-request-id"] == "q-1"
    assert isinstance(response.body, bytes)
    assert b'"code":"not_running"' in response.body


def test_without_a_running_orchestrator_there_is_an_answer(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """Before the start and after the close; in the contract's words, and the log says what to do."""
    site = Site(backend)
    request = a_request("GET", "/api/health", x_request_id="q-1")
    assert_not_running(site.bridge.handle(request))
    with site.tts:
        assert site.bridge.handle(request).status == 200
    assert_not_running(site.bridge.handle(request))
    head = site.bridge.handle(a_request("HEAD", "/api/health"))
    assert (head.status, head.body) == (500, b"")
    assert "call start() first" in caplog.text


def test_it_answers_again_after_a_restart(backend: Backend) -> None:
    """With a handler over the new orchestrator, whose jobs are its own."""
    site = Site(backend)
    for _ in range(2):
        with site.tts:
            generate = a_request("POST", "/api/generate", read=in_pieces(JOB))
            assert status_of(site.bridge.handle(generate)) == 200
            listed = site.bridge.handle(a_request("GET", "/api/generations"))
            assert isinstance(listed.body, bytes)
            assert b'"total":1' in listed.body


def test_a_request_during_a_close_is_told(site: Site) -> None:
    """Its thread may be reading: it comes back, and finds the answer."""

    def read(size: int) -> bytes:
        site.tts.close()
        return JOB

    response = site.bridge.handle(a_request("POST", "/api/generate", read=read, x_request_id="q-1"))
    assert_not_running(response)


def test_a_download_during_a_close_is_broken_off(site: Site) -> None:
    """It isn't whole, and nobody may think so."""
    body = site.download()
    next(body)
    site.tts.close()
    assert site.blobs.closed.is_set()
    with pytest.raises(Exception, match="not running"):
        list(body)


FORKED = """
import os, signal, sys
from tests.adapters.test_sync_bridge import Site, a_request

def answer(site):
    return site.bridge.handle(a_request("GET", "/api/health", x_request_id="q-1")).status

def in_a_fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # should it hang, nothing else would end it
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def started_in_the_worker():
    with site.tts:
        return answer(site) == 200

def started_before_the_fork():
    if answer(site) != 500:
        return False
    site.tts.close()
    return started_in_the_worker()

site = Site("asyncio")
results = [in_a_fork(started_in_the_worker), in_a_fork(started_in_the_worker)]
with site.tts:
    results.append(in_a_fork(started_before_the_fork))
    results.append(0 if answer(site) == 200 else 3)
sys.exit(repr(results) if any(results) else 0)
"""


def test_each_forked_worker_starts_its_own() -> None:
    """The bridge is made before the fork, the orchestrator started after it. One that was started before
    is answered for with a 500, until the worker closes it and starts its own; the parent's goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FORKED], timeout=60, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
