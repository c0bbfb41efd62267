"""What a client of the server does: speak, poll, listen."""

import struct
import threading
import time
import wave
from io import BytesIO

import httpx

from tests.server.running import PATIENCE

#: Speech of ten minutes: a second or more of work for the engine.
LONG_TEXT = "The evening was quiet. " * 430


def an_english_voice(client: httpx.Client) -> str:
    found = client.get("/api/voices", params={"search": "English", "per_page": 100}).json()
    voice: str = next(v["id"] for v in found["voices"] if v["language"].startswith("English"))
    return voice


def speak(client: httpx.Client, text: str) -> dict[str, str]:
    """The first answer to a new job."""
    answer = client.post("/api/generate", json={"voice_id": an_english_voice(client), "text": text})
    assert answer.status_code == 200, answer.text
    body: dict[str, str] = answer.json()
    return body


def poll_to_the_end(client: httpx.Client, task_id: str) -> dict[str, object]:
    """Poll when the server says it is worth while; the terminal task."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < deadline:
        task: dict[str, object] = client.get(f"/api/tasks/{task_id}").json()
        hint = task["poll_after_ms"]
        if hint is None:
            return task
        assert isinstance(hint, int)
        pause.wait(hint / 1000)
    raise AssertionError("the task did not end")


def wait_for_the_end(client: httpx.Client) -> str:
    """How the newest line of the history ends; looks only at the history, which drives nothing."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < deadline:
        status: str = client.get("/api/generations").json()["generations"][0]["status"]
        if status != "processing":
            return status
        pause.wait(0.2)
    raise AssertionError("the job did not end")


def loudest_sample(wav: bytes) -> int:
    """The largest amplitude of a 16-bit WAV; 0 is silence."""
    with wave.open(BytesIO(wav)) as speech:
        assert speech.getsampwidth() == 2
        frames = speech.readframes(speech.getnframes())
    samples: list[int] = [sample for (sample,) in struct.iter_unpack("<h", frames)]
    return max(map(abs, samples))
