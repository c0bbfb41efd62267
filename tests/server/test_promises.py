"""What the project promises, seen from outside: through HTTP, with real processes that really die."""

import os
import random
import signal
import threading
import time
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from tests.server.running import PATIENCE, Running, running
from tests.server.speaking import (
    LONG_TEXT,
    an_english_voice,
    loudest_sample,
    poll_to_the_end,
    speak,
    wait_for_the_end,
)

CHINESE = "你好，世界。今天天气很好，我们去公园散步。"
ARABIC = "مرحبا بالعالم، هذا اختبار للكلام. "
EMOJI = "😀 🎉 🚀 Ready? 🏳️‍🌈 "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("promises")) as started:
        yield started


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def filled(text: str) -> str:
    """As much of ``text``, again and again, as 10,000 UTF-16 code units hold."""
    return text * (10_000 // utf16_units(text))


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        (filled("Hello world. "), 400, 1500),
        (CHINESE, 2, 30),
        (filled(CHINESE), 800, 6000),
        (ARABIC, 1, 20),
        (filled(ARABIC), 300, 6000),
        (EMOJI, 1, 30),
        (filled(EMOJI), 300, 9000),
        ("x", 0.1, 5),
    ],
    ids=[
        "english 10k",
        "chinese",
        "chinese 10k",
        "arabic",
        "arabic 10k",
        "emoji",
        "emoji 10k",
        "x",
    ],
)
def test_every_script_and_length_becomes_speech_of_a_plausible_length(
    client: httpx.Client, text: str, least: float, most: float
) -> None:
    """Generate, poll, follow the redirect: not silent, and its duration is the history's."""
    first = speak(client, text)
    assert poll_to_the_end(client, first["task_id"])["status"] == "completed"
    audio = client.get(f"/api/generations/{first['generation_id']}/audio", follow_redirects=True)
    with wave.open(BytesIO(audio.content)) as speech:
        seconds = speech.getnframes() / speech.getframerate()
        some = speech.readframes(speech.getframerate() * 5)
    assert least <= seconds <= most
    assert loudest_sample_of(some) > 1000
    (line,) = (
        each
        for each in client.get("/api/generations", params={"per_page": 100}).json()["generations"]
        if each["id"] == first["generation_id"]
    )
    assert line["duration_seconds"] == pytest.approx(seconds, abs=0.01)


def loudest_sample_of(frames: bytes) -> int:
    samples = memoryview(frames).cast("h")
    return max(map(abs, samples))


def test_a_client_that_goes_away_after_its_submit_loses_nothing(server: Running) -> None:
    """Its connection is gone, nobody polls, the history shows a completed line."""
    with server.client() as client:
        speak(client, "Nobody waits for this.")
    with server.client() as another:
        assert wait_for_the_end(another) == "completed"


def children_of(pid: int) -> set[int]:
    """The processes that this one started and that still run."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(entry.name))
    return found


def wait_until(what: str, seconds: float, true: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not true():
        assert time.monotonic() < deadline, what
        pause.wait(0.005)


def test_cancel_ends_the_engines_process_within_a_second(tmp_path: Path) -> None:
    """And the task never becomes completed."""
    with running(tmp_path) as server, server.client() as client:
        voice = an_english_voice(client)
        answer = client.post("/api/generate", json={"voice_id": voice, "text": filled(CHINESE)})
        task_id = answer.json()["task_id"]
        wait_until("an engine", PATIENCE, lambda: bool(children_of(server.process.pid)))
        assert client.post(f"/api/tasks/{task_id}/cancel").status_code == 200
        wait_until("the engine's end", 1.0, lambda: not children_of(server.process.pid))
        assert client.get(f"/api/tasks/{task_id}").json()["status"] == "cancelled"
        assert not list((tmp_path / "blobs").rglob("*.wav"))


def test_the_engines_process_dies_with_its_server(tmp_path: Path) -> None:
    """kill -9 of the server leaves no engine behind."""
    with running(tmp_path) as server, server.client() as client:
        speak(client, LONG_TEXT)
        wait_until("an engine", PATIENCE, lambda: bool(children_of(server.process.pid)))
        engines = children_of(server.process.pid)
        server.stop(signal.SIGKILL)
        wait_until("their end", PATIENCE, lambda: not any(map(is_alive, engines)))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def die_and_recover(folder: Path, moment: float) -> None:
    """kill -9 this many seconds after the 200; a new server on the same data must finish the job."""
    with running(folder) as server, server.client() as client:
        first = speak(client, LONG_TEXT)
        threading.Event().wait(moment)
        server.stop(signal.SIGKILL)
    with running(folder) as server, server.client() as client:
        assert wait_for_the_end(client) == "completed"
        task = client.get(f"/api/tasks/{first['task_id']}").json()
        assert (task["status"], task["result"]["audio_url"]) == (
            "completed",
            f"/api/generations/{first['generation_id']}/audio",
        )
        audio = client.get(task["result"]["audio_url"], follow_redirects=True)
        assert loudest_sample(audio.content) > 1000


@pytest.mark.parametrize("moment", [0.0, 0.3, 1.0])
def test_a_server_may_die_at_any_moment_after_its_200(tmp_path: Path, moment: float) -> None:
    """At once, while the engine speaks, while or after the audio is stored."""
    die_and_recover(tmp_path, moment)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(20))
def test_a_server_may_die_at_any_random_moment_after_its_200(tmp_path: Path, seed: int) -> None:
    """The same at moments that nobody chose."""
    die_and_recover(tmp_path, random.Random(seed).uniform(0, 2))
