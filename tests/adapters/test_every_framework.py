"""The same exchanges in every framework, over real sockets: none of them adds or takes away anything."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.adapters.blobs import LARGE, WatchedBlobs, a_large_download
from tests.adapters.frameworks import Serve, Served, asked_in
from tests.adapters.http import PATIENCE, PLAIN_PAGE, Answer, Client
from tests.contract.world import SIGNING_KEY, VOICE, a_world
from ttsorch.adapters import _sync_exchange, aiohttp, asgi
from ttsorch.testing.speech import tone_wav

#: Django takes the whole body before it calls anything under ASGI.
READS_FIRST = "django-asgi"

#: Litestar's mounts take all that begins like them, and to it, a double slash is one.
TAKEN_TOO = {
    ("litestar", "/apifoo"),
    ("litestar", "/apifoo/bar"),
    ("litestar", "//api/health"),
}

JOB = {"voice_id": VOICE, "text": "Hello, world."}


def finish(client: Client) -> str:
    """The path of a finished job's audio."""
    accepted = client.post("/api/generate", JOB)
    assert accepted.status == 200, accepted
    task = f"/api/tasks/{accepted.json['task_id']}"
    for _ in range(10):
        polled = client.get(task)
        if polled.json["status"] == "completed":
            result = polled.json["result"]
            assert isinstance(result, dict)
            return str(result["audio_url"])
    raise AssertionError("the job did not end")


def listen(client: Client, path: str, *headers: tuple[str, str]) -> Answer:
    """Follow the redirect, as somebody without a token."""
    link = client.get(path)
    assert link.status == 302, link
    # A redirect is told from the root of the server on, so it has the prefix already.
    return replace(client, prefix="", token=None).get(link.headers["location"], *headers)


@pytest.mark.parametrize("prefix", ["", "/tts"])
def test_a_job_goes_all_the_way(serve: Serve, prefix: str) -> None:
    """Generate, poll, redirect, audio, and a range of it; mounted at the root and below it."""
    with serve(a_world, prefix) as served:
        path = finish(served.client)
        whole = listen(served.client, path)
        assert (whole.status, whole.content) == (200, tone_wav())
        assert whole.headers["content-length"] == str(len(tone_wav()))
        assert whole.headers["content-type"] == "audio/wav"
        assert "transfer-encoding" not in whole.headers
        part = listen(served.client, path, ("Range", "bytes=10-19"))
        assert (part.status, part.content) == (206, tone_wav()[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(tone_wav())}"
        beyond = listen(served.client, path, ("Range", "bytes=999999-"))
        assert (beyond.status, beyond.content) == (416, b"")


def test_below_a_prefix_only_the_prefix_is_served(serve: Serve) -> None:
    """The contract isn't at the root as well, and what it doesn't know below the prefix is its own 404."""
    with serve(a_world, "/tts") as served:
        assert served.client.get("/api/health").json == {"ok": True}
        assert served.client.get("/api/nothing").json["code"] == "unknown_path"
        assert replace(served.client, prefix="").get("/api/health").status == 404


def test_the_hosts_own_pages_stay(serve: Serve, framework: str) -> None:
    """The contract takes nothing but what is below /api."""
    with serve(a_world, "/tts") as served:
        page = replace(served.client, prefix="").get("/page")
        if framework != "asgi":  # which has no pages
            assert (page.status, page.content) == (200, PLAIN_PAGE)


@pytest.mark.parametrize("target", ["/apifoo", "/apifoo/bar", "//api/health", "/API/health", "/"])
def test_what_is_not_below_api_is_the_hosts(serve: Serve, framework: str, target: str) -> None:
    """It answers as it answers everything that it doesn't have: without our headers."""
    ours = framework == "asgi" or (framework, target) in TAKEN_TOO
    merged = framework == "flask" and target.startswith("//")  # by a redirect
    with serve(a_world, "/tts") as served:
        answer = served.client.get(target)
        assert answer.status == (308 if merged else 404)
        assert ("x-request-id" in answer.headers) == ours


def test_who_is_not_known_gets_nowhere(served: Served) -> None:
    """C3: 401 in two sentences, before the body is parsed; nothing is written."""
    for token, detail in (
        (None, "Missing authorization header"),
        ("unknown", "Invalid or expired token"),
    ):
        stranger = replace(served.client, token=token)
        answer = stranger.ask("POST", "/api/generate", body=b"{")
        assert (answer.status, answer.json["detail"]) == (401, detail)
        assert answer.headers["www-authenticate"] == "Bearer"
    served.call(served.world.assert_nothing_written)


def test_who_is_asking_is_settled_before_the_body_arrives(served: Served, framework: str) -> None:
    """The body is read when the handler wants it, and here it never does."""
    if framework == READS_FIRST:
        return
    stranger = replace(served.client, token="unknown")
    with stranger.begin("POST", "/api/generate", {"Content-Length": "1000"}) as connection:
        assert connection.recv(1000).split(b" ", 2)[1] == b"401"


def test_an_exception_in_authenticate_is_a_500(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """In the contract's words; the log has the traceback under the request id."""
    client = replace(served.client, token="explosive")
    answer = client.get("/api/tasks", ("X-Request-ID", "q-1"))
    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert b"own bug" not in answer.content
    (record,) = (each for each in caplog.records if each.name == "ttsorch.contract")
    assert record.levelno == logging.ERROR
    assert "q-1" in record.getMessage()
    assert record.exc_info is not None
    assert "the host's own bug" in str(record.exc_info[1])


def test_a_public_route_asks_nobody(served: Served) -> None:
    """Not even in passing: a media link is opened often, and who is asking may cost a query."""
    assert served.client.get("/api/languages").status == 200
    assert served.client.get("/api/nothing").status == 404
    assert served.client.ask("PUT", "/api/tasks").status == 405
    assert asked_in == []


def test_a_request_id_is_kept(served: Served) -> None:
    """C5."""
    for target in ("/api/health", "/api/nothing"):
        answer = served.client.get(target, ("X-Request-ID", "my-id"))
        assert answer.headers["x-request-id"] == "my-id"


def test_repeated_headers_are_joined(served: Served) -> None:
    """RFC 9110, 5.3: two keys are not one valid key."""
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = served.client.post("/api/generate", JOB, *keys)
    assert answer.json["code"] == "idempotency_key_invalid"


def test_the_connection_is_described(serve: Serve, framework: str) -> None:
    """Where the contract is mounted, how the request came, and from whom."""
    # aiohttp itself doesn't find an application whose path has to be quoted.
    prefix = "/a-b/c" if framework == "aiohttp" else "/a b/c"
    with serve(a_world, prefix) as served:
        served.client.get("/api/voices?search=a%26b&page=1", ("X-Twice", "1"), ("X-Twice", "2"))
        (request,) = served.handler.requests
        assert (request.method, request.path) == ("GET", "/api/voices")
        assert request.query == "search=a%26b&page=1"
        assert request.root == quote(prefix)
        assert (request.scheme, request.peer) == ("http", "127.0.0.1")
        assert request.headers["x-twice"].replace(" ", "") == "1,2"
        assert request.headers["authorization"] == "Bearer ann"


# --- bodies -------------------------------------------------------------------------------------------


def test_a_body_may_come_in_chunks(served: Served) -> None:
    """Without a length, in pieces that cut words apart."""
    body = b'{"voice_id": "%s", "text": "Hello"}' % VOICE.encode()
    pieces = [body[:5], body[5:30], body[30:]]
    answer = served.client.ask("POST", "/api/generate", body=iter(pieces))
    assert (answer.status, answer.json["status"]) == (200, "processing")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_cap_is_refused(served: Served, chunked: bool) -> None:
    """413 in the contract's words, whatever caps a framework has of its own."""
    body = b" " * (3 * 1024 * 1024)
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = served.client.ask("POST", "/api/generate", body=pieces if chunked else body)
    assert (answer.status, answer.json["code"]) == (413, "body_too_large")
    served.call(served.world.assert_nothing_written)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_leaves_in_the_middle_of_its_body_writes_nothing(
    served: Served, framework: str, chunked: bool
) -> None:
    """What arrived could be read as JSON, but it isn't what the client meant to send."""
    content = b'{"voice_id": "%s", "text": "Hello"}' % VOICE.encode()
    how = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": "1000"}
    with served.client.begin("POST", "/api/generate", how) as connection:
        connection.sendall(b"%x\r\n%s\r\n" % (len(content), content) if chunked else content)
    if framework != READS_FIRST:
        assert served.handler.client_left.wait(PATIENCE)
    assert served.client.get("/api/health").status == 200
    served.call(served.world.assert_nothing_written)


def test_a_client_that_leaves_in_the_middle_of_a_download_closes_the_blob(serve: Serve) -> None:
    """And what it would have got is neither read nor kept in memory: the store is read as it listens."""
    blobs = WatchedBlobs()
    with serve(lambda: a_world(blobs=blobs), "") as served:
        link = a_large_download(served, SIGNING_KEY)
        with served.client.begin("GET", link, {}) as connection:
            received = b""
            while not received.partition(b"\r\n\r\n")[2]:  # until the body begins
                received += connection.recv(1000)
        assert blobs.closed.wait(PATIENCE)
        assert blobs.read < LARGE


def test_a_client_that_stops_reading_is_let_go(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never says that it left; the blob is closed, and what was sent isn't passed off as whole."""
    monkeypatch.setattr(asgi, "_SEND_SECONDS", 0.2)
    monkeypatch.setattr(aiohttp, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr(_sync_exchange, "STALLED_SECONDS", 0.2)
    blobs = WatchedBlobs()
    with serve(lambda: a_world(blobs=blobs), "") as served:
        link = a_large_download(served, SIGNING_KEY)
        with served.client.begin("GET", link, {}) as connection:
            assert blobs.closed.wait(PATIENCE)
            received = 0
            try:
                while chunk := connection.recv(1024 * 1024):
                    received += len(chunk)
            except ConnectionResetError:
                pass
            assert received < LARGE


def test_a_body_that_breaks_is_not_passed_off_as_whole(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The store fails half way: the connection ends before the promised length, and the log says why."""
    blobs = WatchedBlobs(breaks_after=1024 * 1024)
    with serve(lambda: a_world(blobs=blobs), "") as served:
        link = a_large_download(served, SIGNING_KEY)
        with served.client.begin("GET", link, {}) as connection:
            received = 0
            try:
                while chunk := connection.recv(1024 * 1024):
                    received += len(chunk)
            except ConnectionResetError:
                pass
        assert 1024 * 1024 <= received < LARGE
        assert blobs.closed.wait(PATIENCE)
    assert "the disk is gone" in caplog.text


# --- many at once -------------------------------------------------------------------------------------


def test_many_clients_at_once_get_their_own_answers(served: Served) -> None:
    """32 jobs of 32 owners; nobody sees another one's."""
    ready = threading.Barrier(32)

    def one_owner(number: int) -> tuple[int, bytes, object]:
        client = replace(served.client, token=f"owner{number}")
        ready.wait(PATIENCE)
        audio = listen(client, finish(client))
        listed = client.get("/api/generations").json["pagination"]
        assert isinstance(listed, dict)
        return audio.status, audio.content, listed["total"]

    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(one_owner, range(32)))
    assert answers == [(200, tone_wav(), 1)] * 32
