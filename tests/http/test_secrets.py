"""Canaries in everything that may hold a secret: none shows up where operators or users look."""

import logging
import traceback
from collections.abc import Iterator

import httpx
import pytest

from tests.http.raw_server import Peer, answering, http_reply, refused_port, serving
from ttsorch._http import HttpClient, get_request, post_request, redirected, require_https
from ttsorch.errors import ConfigurationError, ProviderError

pytestmark = pytest.mark.anyio

CANARY = "c4nary"
_REPLY = http_reply(
    f'{{"job_id":"{CANARY}"'.encode(),
    f"Location: /x?signature={CANARY}",
    f"Set-Cookie: sid={CANARY}",
    f"X-Reason: {CANARY}",
    status=f"303 {CANARY}",
)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    yield caplog
    for record in caplog.records:
        assert CANARY not in record.getMessage()
        assert CANARY not in repr(record.__dict__)


def _request(url: str) -> httpx.Request:
    return post_request(
        f"{url}/{CANARY}?key={CANARY}",
        {"text": CANARY},
        headers={"xi-api-key": CANARY, "Authorization": f"Bearer {CANARY}"},
    )


def _everything_about(error: BaseException) -> str:
    """What a careless operator could print: the text, the repr, the attributes, the traceback's frames of
    ours with their variables, and every exception that hangs on it."""
    assert error.__cause__ is None
    assert error.__context__ is None
    return "\n".join(
        [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    )


async def test_a_reply_shows_nothing(log: pytest.LogCaptureFixture) -> None:
    """Neither the log at DEBUG nor the repr of a reply or a client has a canary; its fields have it all."""
    async with answering(_REPLY) as server, HttpClient() as http:
        reply = await http.exchange(_request(server.url), deadline=5)
        assert CANARY not in repr(reply) + str(reply) + repr(http)
    assert CANARY in reply.headers["location"]
    assert "receive_response_headers.complete" in {r.getMessage() for r in log.records}


async def test_a_client_of_the_hosts_shows_nothing_either(log: pytest.LogCaptureFixture) -> None:
    """httpx's own line with the whole URL isn't written for our exchanges."""
    async with answering(_REPLY) as server, httpx.AsyncClient(trust_env=False) as theirs:
        http = HttpClient(http=theirs)
        await http.exchange(_request(server.url), deadline=5)
        await http.aclose()
    assert not [record for record in log.records if record.name == "httpx"]


async def test_the_hosts_own_requests_are_logged_as_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The host's other uses of httpx lose no line and no word."""
    caplog.set_level(logging.DEBUG)
    HttpClient()
    async with answering(_REPLY) as server, httpx.AsyncClient(trust_env=False) as theirs:
        await theirs.get(f"{server.url}/?key={CANARY}")
    assert f"key={CANARY}" in caplog.text
    assert "Set-Cookie" in caplog.text


async def test_a_failure_before_sending_shows_nothing(log: pytest.LogCaptureFixture) -> None:
    """A refused connection."""
    async with HttpClient() as http:
        with pytest.raises(ProviderError) as caught:
            await http.exchange(_request(f"http://127.0.0.1:{refused_port()}"), deadline=5)
    assert CANARY not in _everything_about(caught.value)


async def test_a_failure_after_sending_shows_nothing(log: pytest.LogCaptureFixture) -> None:
    """A reply that isn't HTTP, and one that is cut short."""

    async def garbage(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(CANARY.encode() if peer.number else _REPLY[:-1])

    async with serving(garbage) as server, HttpClient() as http:
        for _ in range(2):
            with pytest.raises(ProviderError) as caught:
                await http.exchange(_request(server.url), deadline=5)
            assert CANARY not in _everything_about(caught.value)


async def test_a_reply_that_is_no_json_shows_nothing(log: pytest.LogCaptureFixture) -> None:
    """The error has the reply's size and digest, not its text."""
    async with answering(_REPLY) as server, HttpClient() as http:
        reply = await http.exchange(_request(server.url), deadline=5)
    with pytest.raises(ProviderError) as caught:
        reply.json()
    assert CANARY not in _everything_about(caught.value)
    assert f"answered 303 with {len(reply.body)} bytes" in (caught.value.detail or "")


@pytest.mark.parametrize(
    ("url", "header"),
    [
        (f"http://vendor.test/?key={CANARY}", "x"),
        (f"https://user:{CANARY}@vendor.test/", "x"),
        (f"https://vendor.test/?key={CANARY}\n", "x"),
        ("https://vendor.test/", f"{CANARY}\r\nX-Injected: 1"),
        ("https://vendor.test/", f"{CANARY}é"),
    ],
)
def test_a_request_that_cannot_be_sent_shows_nothing(url: str, header: str) -> None:
    """Bad URLs and header values are refused by the name of the rule or the header."""
    with pytest.raises(ProviderError) as caught:
        get_request(url, headers={"Authorization": header})
    shown = f"{caught.value!r} {caught.value.detail} {caught.value}"
    assert CANARY not in shown


def test_a_setting_that_is_refused_shows_nothing() -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError, match=r"^MODAL_JOB_SUBMIT must ") as caught:
        require_https(f"http://{CANARY}.test/?key={CANARY}", "MODAL_JOB_SUBMIT")
    assert CANARY not in repr(caught.value)
    assert caught.value.field == "MODAL_JOB_SUBMIT"


async def test_a_redirect_to_another_origin_takes_no_header_along() -> None:
    """Followed by hand to another port, the request has none of our headers but Accept."""
    async with answering(http_reply()) as other, HttpClient() as http:
        answer = http_reply(b"", f"Location: {other.url}/result", status="303 See Other")
        async with answering(answer) as server:
            request = post_request(
                server.url,
                {"text": CANARY},
                headers={
                    "Authorization": CANARY,
                    "Cookie": CANARY,
                    "Modal-Key": CANARY,
                    "xi-api-key": CANARY,
                    "Accept": "audio/wav",
                },
            )
            reply = await http.exchange(request, deadline=5)
            await http.exchange(redirected(request, reply), deadline=5)
    sent = other.requests[0].decode()
    assert sent.startswith("GET /result HTTP/1.1\r\n")
    assert CANARY not in sent
    assert "accept: audio/wav" in sent.lower()
