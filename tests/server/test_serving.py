"""The reference server from outside: speech comes out of it, and it starts, stops and recovers cleanly."""

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.server.running import Running, refused, running
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


def test_the_page_is_served_under_a_strict_policy(client: httpx.Client) -> None:
    """Everything it needs comes from here, and nothing in it is inline."""
    for path in ("/", "/generate?voice=x&text=y"):
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["content-security-policy"].startswith("default-src 'self';")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?://", page.text
        )
        for asset in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert client.get(asset).status_code == 200


def test_what_is_neither_page_nor_contract_is_a_404_in_json(client: httpx.Client) -> None:
    """C2, also for what the framework answers by itself; nothing outside the page's folder is served."""
    for path in ("/nothing", "/api", "/..%2fapp.py", "/%2e%2e/app.py", "/app.py"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert isinstance(answer.json()["detail"], str)


def test_pages_of_other_sites_are_kept_out(client: httpx.Client) -> None:
    """Without tokens, a foreign Host (DNS rebinding) and a foreign Origin (CSRF) are refused."""
    own = str(client.base_url)
    for headers, status in (
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "[::bad"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": own}, 200),
        ({"host": "localhost"}, 200),
    ):
        answer = client.get("/api/generations", headers=headers)
        assert answer.status_code == status, headers


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
    assert list(tmp_path.iterdir()) == []


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
