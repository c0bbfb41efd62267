"""Canaries in signed URLs, credentials and answers: none shows up where operators or users look."""

import logging
import traceback
from collections.abc import Iterator

import httpx
import pytest

from tests.download.internet import QUICK, downloading, read
from tests.http.raw_server import Peer, answering, http_reply, refused_port, serving
from ttsorch._download import Downloader
from ttsorch.errors import ProviderError

pytestmark = pytest.mark.anyio

CANARY = "c4nary"
KEY = {"xi-api-key": CANARY, "Authorization": f"Bearer {CANARY}"}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    yield caplog
    for record in caplog.records:
        assert CANARY not in record.getMessage()
        assert CANARY not in repr(record.__dict__)


def _everything_about(error: BaseException) -> str:
    assert error.__cause__ is None
    assert error.__context__ is None
    return "\n".join(
        [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    )


REPLIES = (
    http_reply(b"x", f"Set-Cookie: {CANARY}", f"X-Reason: {CANARY}"),
    http_reply(CANARY.encode(), f"X-Reason: {CANARY}", status=f"404 {CANARY}"),
    http_reply(b"", f"Location: https://evil.test/{CANARY}", status="302 Found"),
    http_reply(b"", f"Location: /{CANARY}?{CANARY}", status="302 Found"),
    http_reply(b"", f"Location: {CANARY}\\", status="302 Found"),
    http_reply(b"x" * 100, f"X-Reason: {CANARY}")[:-5],
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode(),
    f"{CANARY}\r\n\r\n".encode(),
    http_reply(CANARY.encode(), f"Content-Encoding: {CANARY}"),
)


@pytest.mark.parametrize("reply", REPLIES)
async def test_an_answer_shows_nothing(reply: bytes, log: pytest.LogCaptureFixture) -> None:
    """Whether it is audio, an error, a redirect, cut short or no HTTP at all: neither log nor error tells."""

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(reply)

    async with serving(behaviour) as server, downloading(server) as downloader:
        source = downloader.open(f"{server.url}/{CANARY}?Signature={CANARY}", headers=KEY)
        assert CANARY not in repr(source) + repr(downloader)
        errors = []
        try:
            async with source as stream:
                assert CANARY not in repr(stream)
                assert [chunk async for chunk in stream.chunks] == [b"x"]
        except ProviderError as error:
            errors.append(error)
    assert len(errors) == (reply is not REPLIES[0])
    assert CANARY not in "".join(map(_everything_about, errors))
    assert {"connect_tcp.started", "receive_response_headers.started"} <= {
        record.getMessage() for record in log.records
    }


@pytest.mark.parametrize("chunks_read", [1, 2])
async def test_junk_in_a_body_shows_nothing(
    chunks_read: int, log: pytest.LogCaptureFixture
) -> None:
    """Neither when it is read, nor when it is met while the connection is closed."""
    begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"

    async def behaviour(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(begun + f"junk {CANARY}\r\n".encode())

    async with (
        serving(behaviour) as server,
        downloading(server) as downloader,
        downloader.open(server.url) as stream,
    ):
        assert await anext(stream.chunks) == b"x"
        if chunks_read == 2:
            with pytest.raises(ProviderError) as caught:
                await anext(stream.chunks)
            assert CANARY not in _everything_about(caught.value)
    assert "receive_response_body.failed" in {record.getMessage() for record in log.records}


async def test_a_failure_to_connect_shows_nothing(log: pytest.LogCaptureFixture) -> None:
    """Refused by the network, or by our rules."""
    port = refused_port()
    downloader = Downloader(hosts=["localhost"], private=[f"127.0.0.1:{port}"], limits=QUICK)
    for url in (
        f"http://127.0.0.1:{port}/{CANARY}",
        f"https://localhost/{CANARY}?{CANARY}",
        f"https://{CANARY}@localhost/{CANARY}",
        f"https://evil.test/{CANARY}",
    ):
        with pytest.raises(ProviderError) as caught:
            await read(downloader, url, KEY)
        assert CANARY not in _everything_about(caught.value)


async def test_the_hosts_own_requests_are_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Between the chunks of a download, and after it, the same task's other requests lose no word."""
    caplog.set_level(logging.DEBUG)
    async with (
        answering(http_reply(b"x")) as server,
        downloading(server) as downloader,
        httpx.AsyncClient(trust_env=False) as theirs,
    ):
        async with downloader.open(server.url) as stream:
            await theirs.get(f"{server.url}/?during")
            assert await anext(stream.chunks) == b"x"
            await theirs.get(f"{server.url}/?between")
        await theirs.get(f"{server.url}/?after")
    for word in ("during", "between", "after"):
        assert f"{server.url}/?{word}" in caplog.text
