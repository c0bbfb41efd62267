"""What arrives on the socket and is hardly HTTP: answered or hung up on, never a traceback, and the next
client is served as if nothing had happened."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.server.running import Running, running
from tests.server.test_promises import wait_until

#: In seconds: how long an answer to a whole request may take on a busy machine.
PATIENCE = 10.0

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /api/health HTTP/1.1\r\n" + HOST
POST = b"POST /api/generate HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("framing")) as started:
        yield started


def connect(server: Running) -> socket.socket:
    address = urlsplit(server.address)
    assert address.hostname is not None
    opened = socket.create_connection((address.hostname, address.port or 80), timeout=PATIENCE)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


def exchange(server: Running, sent: bytes, *, then_end: bool = False) -> bytes:
    """All that comes back until the server hangs up; ``then_end``: after we have, which it may take for
    leaving."""
    with closing(connect(server)) as client:
        received = b""
        try:
            client.sendall(sent)
            if then_end:
                client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(65536):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
        return received


def status_of(answer: bytes) -> int | None:
    found = re.match(rb"HTTP/1\.1 (\d\d\d) ", answer)
    return int(found[1]) if found else None


#: Each with the statuses that may come back, None for a hang-up without a word.
BROKEN: dict[str, tuple[bytes, set[int | None]]] = {
    # Lengths.
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", {400}),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}", {400}),
    "a length that is none": (POST + b"Content-Length: two\r\n\r\n{}", {400}),
    "a hexadecimal length": (POST + b"Content-Length: 0x2\r\n\r\n{}", {400}),
    "an empty length": (POST + b"Content-Length: \r\n\r\n{}", {400}),
    "a length beyond 64 bits": (POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}", {400, 413}),
    "a length of digits of another script": (POST + "Content-Length: ٢\r\n\r\n{}".encode(), {400}),
    "two lengths that differ": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
    "two lengths in one": (POST + b"Content-Length: 2, 3\r\n\r\n{}", {400}),
    "the same length twice": (POST + b"Content-Length: 2, 2\r\n" + CLOSE + b"\r\n{}", {400}),
    "a body that is shorter than it says": (POST + b"Content-Length: 10\r\n\r\n{}", {400, None}),
    "a body that is longer than it says": (POST + CLOSE + b"Content-Length: 2\r\n\r\n{}{}", {400}),
    # Both at once (RFC 9112, 6.3): chunked wins, or nothing does.
    "a length and chunks": (
        POST + CLOSE + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        {400},
    ),
    "chunks twice": (POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", {400, 501}),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "a misspelled coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "a hidden coding": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", {400}),
    # Chunks.
    "a chunk size that is none": (POST + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", {400}),
    "a negative chunk": (POST + CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n", {400}),
    "a chunk with a sign": (POST + CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n", {400}),
    "a chunk with a prefix": (POST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n", {400}),
    "an endless chunk size": (POST + CHUNKED + b"\r\n" + b"0" * 100_000, {400}),
    "a chunk that is too long": (POST + CHUNKED + b"\r\n2\r\n{}{}\r\n0\r\n\r\n", {400}),
    "a chunk that ends in a line feed": (POST + CHUNKED + b"\r\n2\n{}\n0\n\n", {400, None}),
    "no last chunk": (POST + CHUNKED + b"\r\n2\r\n{}\r\n", {400, None}),
    "many empty extensions": (
        POST + CHUNKED + b"\r\n2" + b";a" * 20_000 + b"\r\n{}\r\n",
        {400, None},
    ),
    # Headers.
    "a header without a colon": (GET + b"Nonsense\r\n\r\n", {400}),
    "a header without a name": (GET + b": x\r\n\r\n", {400}),
    "a space before the colon": (GET + b"X-A : b\r\n\r\n", {400}),
    "a NUL in a header": (GET + b"X-A: a\0b\r\n\r\n", {400}),
    "a NUL in a name": (GET + b"X\0A: b\r\n\r\n", {400}),
    "a carriage return in a header": (GET + CLOSE + b"X-A: a\rb\r\n\r\n", {200, 400}),
    "bytes in a name": (GET + b"X-\xff: b\r\n\r\n", {400}),
    "a header of 100 kB": (GET + CLOSE + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n", {200, 400, 431}),
    "a hundred thousand headers": (GET + b"A: b\r\n" * 100_000 + b"\r\n", {400, 431}),
    "no host": (b"GET /api/health HTTP/1.1\r\n\r\n", {400}),
    "two hosts": (GET + HOST + b"\r\n", {400}),
    "a folded first header": (b"GET /api/health HTTP/1.1\r\n x: y\r\n" + HOST + b"\r\n", {400}),
    # The first line.
    "nothing": (b"", {None}),
    "empty lines": (b"\r\n\r\n\r\n", {None, 400}),
    "NULs": (b"\0" * 5000, {400, None}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 500, {400, None}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 403}),
    "HTTP/0.9": (b"GET /api/health\r\n\r\n", {400}),
    "HTTP of the future": (
        b"GET /api/health HTTP/9.9\r\n" + HOST + CLOSE + b"\r\n",
        {200, 400, 505},
    ),
    "a lower-case version": (b"GET /api/health http/1.1\r\n" + HOST + b"\r\n", {400}),
    "no method": (b" /api/health HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a method of brackets": (b"(GET) /api/health HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "two spaces": (b"GET  /api/health HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "a path with a space": (b"GET /api/health x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "a path that is not ASCII": (b"GET /api/\xff HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "an endless path": (
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
        {400, 404, 414, 431},
    ),
    "an endless first line": (b"G" * 200_000, {400, 431}),
}

#: Whole requests, however odd: each has an answer in the contract's shape, or the page.
ODD: dict[str, tuple[bytes, set[int]]] = {
    "absolute form": (b"GET http://127.0.0.1/api/health HTTP/1.1\r\n" + HOST, {200, 404}),
    "a foreign absolute form": (
        b"GET http://evil.example/api/health HTTP/1.1\r\n" + HOST,
        {403, 404},
    ),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n" + HOST, {204, 404, 405}),
    "authority form": (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + HOST, {404, 405}),
    "a path of dots": (b"GET /api/../../../etc/passwd HTTP/1.1\r\n" + HOST, {404}),
    "escaped dots": (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + HOST, {404}),
    "a NUL in the path": (b"GET /%00 HTTP/1.1\r\n" + HOST, {404}),
    "a NUL in an id": (b"GET /api/tasks/%00 HTTP/1.1\r\n" + HOST, {404}),
    "a surrogate in the path": (b"GET /%ed%a0%80 HTTP/1.1\r\n" + HOST, {404}),
    "broken escapes": (b"GET /%zz%f HTTP/1.1\r\n" + HOST, {404}),
    "bytes in a link": (b"GET /api/media/%ff?expires=%ff&signature=%ff HTTP/1.1\r\n" + HOST, {403}),
    "a very long name": (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST, {404}),
    "many slashes": (b"GET ////api////health//// HTTP/1.1\r\n" + HOST, {404}),
    "a path without a slash": (b"GET api/health HTTP/1.1\r\n" + HOST, {404}),
    "a method that nobody knows": (b"BREW /api/health HTTP/1.1\r\n" + HOST, {405}),
    "a long method": (b"G" * 5000 + b" / HTTP/1.1\r\n" + HOST, {405}),
    "a body on a GET": (GET + b"Content-Length: 2\r\n\r\n{}", {200}),
    "an upgrade": (
        GET + b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nConnection: upgrade, close\r\n",
        {200},
    ),
    "an upgrade of a page": (
        b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: upgrade, close\r\n",
        {200},
    ),
    "an upgrade to HTTP/2": (GET + b"Upgrade: h2c\r\nConnection: upgrade, close\r\n", {200}),
    "an unknown expectation": (GET + b"Expect: the-spanish-inquisition\r\n", {200, 417}),
    "HTTP/1.0": (b"GET /api/health HTTP/1.0\r\n" + HOST, {200}),
    "a folded header": (GET + b"X-A: a\r\n b\r\n", {200, 400}),
    "bytes in a header": (GET + b"X-Request-ID: \xff\xfe\r\n", {200}),
    "a request id with a space at its cut": (
        GET + b"X-Request-ID: " + b"x" * 127 + b" y\r\n",
        {200},
    ),
    "a foreign host": (b"GET /api/health HTTP/1.1\r\nHost: evil.example\r\n", {403}),
    "a broken host": (b"GET /api/health HTTP/1.1\r\nHost: [::1\r\n", {403}),
    "chunks with extensions": (
        POST + CHUNKED + b'\r\n2;a=b;c="d"\r\n{}\r\n0\r\nTrailer: x\r\n\r\n',
        {400},
    ),
}


def _whole(request: bytes) -> bytes:
    if b"upgrade, close" in request:
        return request + b"\r\n"
    if b"\r\n\r\n" in request:
        head, _, body = request.partition(b"\r\n\r\n")
        return head + b"\r\n" + CLOSE + b"\r\n" + body
    return request + CLOSE + b"\r\n"


def test_what_is_hardly_http_is_answered_or_hung_up_on(server: Running) -> None:
    """One after the other; after each of them the server serves."""
    with server.client() as client:
        for name, (sent, statuses) in BROKEN.items():
            answer = exchange(server, sent, then_end=None in statuses)
            assert status_of(answer) in statuses, (name, answer[:200])
            assert b"Traceback" not in answer
            assert client.get("/api/health").status_code == 200, name
    log = server.log.read_text()
    assert "Traceback" not in log
    assert not re.search(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) ", log, re.MULTILINE)
    assert " INFO Invalid HTTP request received." in log


def test_what_is_odd_but_http_is_answered(server: Running) -> None:
    """With a status that fits, and one line in the log for each."""
    ids = []
    for name, (sent, statuses) in ODD.items():
        answer = exchange(server, _whole(sent))
        assert status_of(answer) in statuses, (name, answer[:300])
        head, _, body = answer.partition(b"\r\n\r\n")
        (request_id,) = re.findall(rb"x-request-id: (\w+)", head.lower())
        ids.append(request_id.decode())
        if status_of(answer) not in (200, 204):
            assert body.startswith(b'{"detail":"'), (name, body[:100])
    # The last line is written when its answer has already been read.
    wait_until("a line for each", PATIENCE, lambda: all(lines_with(id, server) for id in ids))
    assert [lines_with(id, server) for id in ids] == [1] * len(ODD)
    assert max(map(len, server.log.read_text().splitlines())) < 1000
    assert "Traceback" not in server.log.read_text()


def lines_with(text: str, server: Running) -> int:
    return sum(text in line for line in server.log.read_text().splitlines())


def test_a_client_may_wait_to_be_asked_for_its_body(server: Running) -> None:
    """RFC 9110, 10.1.1: 100 first, and the answer after the body."""
    with closing(connect(server)) as client:
        client.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n" + CLOSE + b"\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"{}")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert status_of(answer) == 400
    assert b"Please select a voice" in answer


def test_what_was_smuggled_behind_a_request_is_a_request_of_its_own(server: Running) -> None:
    """Two requests in one packet have two answers, in their order."""
    second = b"GET /api/nothing HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
    answer = exchange(server, GET + b"\r\n" + second)
    assert [int(found) for found in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)] == [200, 404]


def test_slow_and_silent_clients_hold_up_nobody(server: Running) -> None:
    """A hundred of them, at every stage of a request, while the others are served; then they go away."""
    whole = POST + b"Content-Length: 1000\r\n\r\n{"
    slow = [connect(server) for _ in range(100)]
    try:
        for number, each in enumerate(slow):
            each.sendall(whole[: number * len(whole) // len(slow)])
        with ThreadPoolExecutor(8) as pool, server.client() as client:
            answers = list(pool.map(lambda _: client.get("/api/voices?per_page=1"), range(100)))
        assert {answer.status_code for answer in answers} == {200}
    finally:
        for each in slow:
            each.close()
    with server.client() as another:
        assert another.get("/api/health").status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_resets_its_connection_is_forgotten(server: Running) -> None:
    """In the middle of its body, and before it has read its answer."""
    for sent in (POST + b"Content-Length: 9\r\n\r\n{", GET + b"\r\n", GET):
        client = connect(server)
        client.sendall(sent)
        # A close that sends RST: whoever writes to it from now on fails.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    with server.client() as client_after:
        assert client_after.get("/api/health").status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_nothing_hostile_was_ever_kept(server: Running) -> None:
    """The history is as empty as it was."""
    with server.client() as client:
        answer: httpx.Response = client.get("/api/generations")
    assert answer.json()["pagination"]["total"] == 0
