"""The reference server from outside: speech comes out of it, and it starts, stops and recovers cleanly."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.server.running import ROOT, Running, refused, running
from tests.server.speaking import (
    LONG_TEXT,
    loudest_sample,
    poll_to_the_end,
    speak,
    wait_for_the_end,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def test_text_becomes_audible_speech(client: httpx.Client) -> None:
    """Generate, poll, follow the redirect: a WAV of the right length that isn't silent."""
    task = poll_to_the_end(client, speak(client, "Hello there, this is a test.")["task_id"])
    assert task["status"] == "completed"
    result = task["result"]
    assert isinstance(result, dict)
    audio = client.get(result["audio_url"], follow_redirects=True)
    assert audio.headers["content-type"] == "audio/wav"
    assert loudest_sample(audio.content) > 1000
    head = client.head(str(audio.url))
    assert head.headers["content-length"] == str(len(audio.content))
    part = client.get(str(audio.url), headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, audio.content[4:8])


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_first_bytes(
    client: httpx.Client,
) -> None:
    """Head and body go out as they come (TCP_NODELAY): with Nagle's algorithm, every answer over a
    connection that is kept takes 40 ms, since each of the two ends waits for the other."""
    taken = [client.get("/api/health").elapsed.total_seconds() for _ in range(30)]
    assert median(taken) < 0.03


def test_the_page_is_served_under_a_strict_policy(client: httpx.Client) -> None:
    """Everything it needs comes from here, and nothing in it is inline."""
    for path in ("/", "/generate?voice=x&text=y"):
        page = client.get(path)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self' 'sha256-")
        assert not re.search(r"unsafe|\*|https?:|data:", policy)
        assert page.headers["permissions-policy"].startswith("microphone=(self), camera=()")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page.text
        )
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert client.get(asset).status_code == 200


def in_the_contracts_shape(answer: httpx.Response) -> tuple[int, str]:
    """The status and the sentence, after a look at the rest (C2, C5)."""
    body = answer.json()
    assert body.keys() == {"detail", "code", "category", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code, body["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/api",
        "/api/",
        "/apiary",
        "/a%0ab",
        "/..%2fapp.py",
        "/%2e%2e/app.py",
        "/app.py",
    ],
)
def test_what_is_neither_page_nor_contract_is_a_404_in_json(
    client: httpx.Client, path: str
) -> None:
    """Whoever answers it; nothing outside the page's folder is served."""
    answer = client.get(path, headers={"x-request-id": "q-1"})
    assert in_the_contracts_shape(answer) == (404, "There is nothing at this address.")
    assert answer.headers["x-request-id"] == "q-1"


@pytest.mark.parametrize("path", ["/", "/generate", "/static/any/app.js"])
def test_the_page_refuses_other_methods_in_json(client: httpx.Client, path: str) -> None:
    """405 in the contract's sentence, with what is allowed."""
    answer = client.delete(path)
    assert in_the_contracts_shape(answer) == (405, "Method not allowed.")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("name", ["a%0ab", "a%0d%0ab", "%0a"])
def test_a_line_break_in_a_path_is_the_contracts_to_refuse(client: httpx.Client, name: str) -> None:
    """It reaches the route that it is for, in whose words it is missing."""
    answer = client.get(f"/api/tasks/{name}")
    assert in_the_contracts_shape(answer) == (404, "Task not found.")


def test_every_answer_has_a_request_id(client: httpx.Client) -> None:
    """The client's own or a new one, which the log has too."""
    for path in ("/", "/style.css", "/api/health", "/nothing"):
        assert client.get(path, headers={"x-request-id": "mine"}).headers["x-request-id"] == "mine"
        made = {client.get(path).headers["x-request-id"] for _ in range(2)}
        assert len(made) == 2
        twice = client.get(path, headers=[("x-request-id", "one"), ("x-request-id", "two")])
        assert twice.headers.get_list("x-request-id") == ["one"]


def test_the_page_takes_text_in_any_direction_and_tokens_that_a_header_can_carry(
    client: httpx.Client,
) -> None:
    """A token that can't be sent would make every further request fail. This server wants none, and says
    so."""
    page = client.get("/").text
    assert '<meta name="sign-in" content="none">' in page
    for element in ("text", "player-text"):
        assert re.search(rf'<\w+ id="{element}"[^>]* dir="auto"', page)
    found = re.search(r'<input id="token"[^>]* pattern="([^"]+)"', page)
    assert found is not None
    for token, good in (("s3cret/+=~", True), (" pasted\t", True), ("tök", False), ("a b", False)):
        assert bool(re.fullmatch(found[1], token)) is good


STATIC = ROOT / "examples/reference_server/static"
ADDRESS = r"/static/[0-9a-f]{16}/"
IMPORT = re.compile(
    r'^import .*?from "\./([\w-]+\.js)";|\bimport\("\./([\w-]+\.js)"\)', re.MULTILINE
)


def test_every_module_that_the_page_begins_with_is_asked_for_at_once(client: httpx.Client) -> None:
    """Else the browser finds them one after the other; what is read later is left out."""
    page = client.get("/").text
    scripts = re.findall(rf'<script type="module" src="{ADDRESS}([^"]+)">', page)
    begun, found = set(scripts), list(scripts)
    while found:
        for at_once, later in IMPORT.findall((STATIC / found.pop()).read_text()):
            assert later or (STATIC / at_once).is_file()
            if at_once and at_once not in begun:
                begun.add(at_once)
                found.append(at_once)
    asked = re.findall(rf'<link rel="modulepreload" href="{ADDRESS}([^"]+)">', page)
    assert sorted(asked) == sorted(begun - set(scripts))


def test_what_index_html_shows_is_among_the_words(client: httpx.Client) -> None:
    """Its elements name sentences of words.js; none is missing there, and the page has no other."""
    page = client.get("/").text
    named = set(re.findall(r'data-say(?:-\w+)?="(\w+)"', page))
    words = (STATIC / "words.js").read_text()
    of_the_page = words[words.index("  page: {") : words.index("  speak: {")]
    assert named <= set(re.findall(r"^    (\w+):", of_the_page, re.MULTILINE))
    body = re.sub(r"<noscript>.*?</noscript>", "", page[page.index("<body>") :])
    assert re.sub(r"<[^>]+>", "", body).split() == ["ttsorch"]


def test_the_page_is_compressed_and_kept_until_it_changes(client: httpx.Client) -> None:
    """A second visit costs one answer without a body: the parts have the page's version in their addresses
    and are kept for ever. Audio isn't compressed: it is asked for in ranges."""
    index = client.get("/")
    assert index.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"if-none-match": index.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    parts = re.findall(rf'(?:href|src)="({ADDRESS}[^"]+)"', index.text)
    assert len({part.rpartition("/")[0] for part in parts}) == 1
    for part in parts:
        answer = client.get(part)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers.get("content-encoding") == (None if part.endswith("svg") else "gzip")
    assert "content-encoding" not in client.get("/api/voices", params={"per_page": 100}).headers


def test_a_part_of_another_version_is_not_to_be_had(client: httpx.Client) -> None:
    """A page that was left open over an upgrade would otherwise mix modules of two versions."""
    part = re.search(rf"{ADDRESS}app\.js", client.get("/").text)
    assert part is not None
    for address, status in (
        (part[0], 200),
        (f"/static/{'0' * 16}/app.js", 404),
        (part[0].replace("app.js", "index.html"), 404),
        ("/app.js", 404),
    ):
        answer = client.get(address)
        assert answer.status_code == status, address
        if status == 404:
            in_the_contracts_shape(answer)


def test_the_waveforms_library_is_a_module_also_where_it_is_not_installed(
    client: httpx.Client,
) -> None:
    """A 404 would be an error in the browser's console."""
    folder = re.search(ADDRESS, client.get("/").text)
    assert folder is not None
    answer = client.get(f"{folder[0]}wavesurfer.js")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert re.search(r"export\s*(default null;|\{\s*\w+ as default)", answer.text)


def test_what_a_browser_may_refuse_to_keep_is_asked_for_in_one_place() -> None:
    """Looking at a blocked storage throws, so only browser.js, which catches that, does."""
    scripts = STATIC.glob("*.js")
    users = {script.name for script in scripts if "Storage" in script.read_text()}
    assert users == {"browser.js"}


def test_pages_of_other_sites_are_kept_out(client: httpx.Client) -> None:
    """Without tokens, a foreign Host (DNS rebinding) and a foreign Origin (CSRF) are refused."""
    own = str(client.base_url)
    for headers, status in (
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "[::bad"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": own}, 200),
        ({"host": "localhost"}, 200),
    ):
        answer = client.get("/api/generations", headers=headers)
        assert answer.status_code == status, headers
        if status == 403:
            in_the_contracts_shape(answer)


def test_many_pollers_share_one_synthesis(server: Running, client: httpx.Client) -> None:
    """64 clients poll one task: all see it complete, and one file was made."""
    first = speak(client, "Sixty-four listeners are waiting for this one sentence.")
    with ThreadPoolExecutor(64) as pool:
        ends = list(pool.map(lambda _: poll_to_the_end(client, first["task_id"]), range(64)))
    assert {end["status"] for end in ends} == {"completed"}
    folder = server.log.parent / "blobs"
    assert len(list(folder.glob(f"*/{first['generation_id']}/*"))) == 1


def test_a_running_job_can_be_cancelled(client: httpx.Client) -> None:
    """It is over at once, and stays over."""
    task_id = speak(client, LONG_TEXT)["task_id"]
    answer = client.post(f"/api/tasks/{task_id}/cancel")
    assert answer.json() == {"cancelled": True, "task_id": task_id}
    task = client.get(f"/api/tasks/{task_id}").json()
    assert (task["status"], task["error"]) == ("cancelled", "Cancelled by user")


def test_two_hosts_tokens_are_two_owners(tmp_path: Path) -> None:
    """With TTSORCH_TOKENS everybody has to say who they are, and sees only their own."""
    with running(tmp_path, TTSORCH_TOKENS="one=ann,two=bob") as server:
        with server.client("one") as ann, server.client("two") as bob:
            task_id = speak(ann, "Mine.")["task_id"]
            assert poll_to_the_end(ann, task_id)["status"] == "completed"
            assert bob.get(f"/api/tasks/{task_id}").status_code == 404
            assert bob.get("/api/generations").json()["pagination"]["total"] == 0
        for token, detail in (
            (None, "Missing authorization header"),
            ("three", "Invalid or expired token"),
        ):
            with server.client(token) as nobody:
                answer = nobody.get("/api/generations")
                assert (answer.status_code, answer.json()["detail"]) == (401, detail)
                assert nobody.get("/api/languages").status_code == 200
                # The page asks nothing else of a server that says so before somebody has signed in.
                assert '<meta name="sign-in" content="token">' in nobody.get("/").text
        with server.client() as both:
            for pair in (("one", "two"), ("one", "one")):
                sent = [("authorization", f"Bearer {token}") for token in pair]
                answer = both.get("/api/generations", headers=sent)
                assert in_the_contracts_shape(answer) == (401, "Invalid or expired token")


def test_the_log_shows_requests_but_no_signature(server: Running, client: httpx.Client) -> None:
    """One line for each, whatever is in its path."""
    client.get("/api/generations?search=private-words")
    client.get("/api/media/a/b.wav?expires=1&signature=secret-signature")
    client.get("/api/tasks/one%0Atwo%1B[31m")
    client.get("/api/health")
    log = server.log.read_text()
    assert "GET /api/media/a/b.wav 403" in log
    assert "secret-signature" not in log
    assert "private-words" not in log
    assert "one\\ntwo\\u001b[31m 404" in log


# --- starting and stopping ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_while_it_works(tmp_path: Path, number: signal.Signals) -> None:
    """Exit status 0 with a job running and a connection open, and no traceback."""
    with running(tmp_path) as server, server.client() as client:
        speak(client, LONG_TEXT)
        assert server.stop(number) == 0
        assert "Traceback" not in server.log.read_text()


def test_a_signal_ends_it_cleanly_while_somebody_listens(tmp_path: Path) -> None:
    """A player that stopped reading in the middle doesn't hold it up."""
    with running(tmp_path) as server, server.client() as client:
        first = speak(client, LONG_TEXT)
        assert poll_to_the_end(client, first["task_id"])["status"] == "completed"
        audio = f"/api/generations/{first['generation_id']}/audio"
        with client.stream("GET", audio, follow_redirects=True) as response:
            next(response.iter_raw(1024))
            assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()


def test_a_job_survives_the_death_of_its_server(tmp_path: Path) -> None:
    """kill -9 in the middle, a new server on the same data: it completes, and nobody polls it."""
    with running(tmp_path) as server, server.client() as client:
        first = speak(client, LONG_TEXT)
        server.stop(signal.SIGKILL)
    with running(tmp_path) as server, server.client() as client:
        (active,) = client.get("/api/tasks?status=active").json()["tasks"]
        assert active["id"] == first["task_id"]
        assert wait_for_the_end(client) == "completed"
        audio = client.get(
            f"/api/generations/{first['generation_id']}/audio", follow_redirects=True
        )
        assert loudest_sample(audio.content) > 1000


def test_a_taken_port_is_one_clear_sentence(server: Running, tmp_path: Path) -> None:
    """Exit status 1, naming the port and what to do."""
    port = server.address.rpartition(":")[2]
    status, words = refused(tmp_path, PORT=port)
    assert (status, words.count("\n")) == (1, 1)
    assert port in words
    assert "PORT chooses another" in words
    assert "Address already in use. Is another" in words
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_opened_is_one_clear_sentence(tmp_path: Path) -> None:
    """Exit status 1: the variable and the system's reason."""
    damaged = tmp_path / "hunter2-damaged.db"
    damaged.write_bytes(b"no database " * 100)
    for path, reason in (
        ("/proc/hunter2.db", "No such file or directory"),
        (damaged, "SQLITE_NOTADB"),
    ):
        status, words = refused(tmp_path, TTSORCH_DATABASE_URL=f"sqlite:///{path}")
        assert (status, words.count("\n")) == (1, 1)
        assert words.startswith("ttsorch: TTSORCH_DATABASE_URL: cannot be opened (")
        assert reason in words
        assert "hunter2" not in words


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PORT": "hunter2"}, "PORT"),
        ({"TTS_PROVIDER_MODE": "nope"}, "TTS_PROVIDER_MODE"),
        ({"TTSORCH_DATABASE_URL": "mysql://hunter2@db"}, "TTSORCH_DATABASE_URL"),
        ({"TTSORCH_BLOB_URL": "ftp://hunter2"}, "TTSORCH_BLOB_URL"),
        ({"TTSORCH_TOKENS": "hunter2"}, "TTSORCH_TOKENS"),
        ({"TTSORCH_SIGNING_KEY": "hunter2"}, "TTSORCH_SIGNING_KEY"),
        ({"HOST": "0.0.0.0"}, "TTSORCH_TOKENS"),  # noqa: S104  # what must be refused
    ],
    ids=str,
)
def test_a_wrong_setting_is_one_clear_sentence(
    tmp_path: Path, settings: dict[str, str], named: str
) -> None:
    """Exit status 2, naming the variable and never its value."""
    status, words = refused(tmp_path, **settings)
    assert (status, words.count("\n")) == (2, 1)
    assert named in words
    assert "hunter2" not in words
