"""The programs of examples/mounting, each as a process of its own with the embedded engine, and the page
that shows them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from examples.mounting import settings
from tests.adapters.http import PATIENCE, Client
from tests.server.speaking import loudest_sample
from ttsorch.config import Config

ROOT = Path(__file__).parents[2]

_UVICORN = ("-m", "uvicorn", "--factory", "--lifespan", "on", "--port")
_GUNICORN = ("-m", "gunicorn", "--config", "examples/mounting/gunicorn_workers.py")


def _under_uvicorn(name: str, port: str) -> Sequence[str]:
    return (*_UVICORN, port, f"examples.mounting.{name}_app:create_app")


def _under_gunicorn(name: str) -> Sequence[str]:
    return (*_GUNICORN, f"examples.mounting.{name}_app:app")


def command(name: str, port: str) -> Sequence[str]:
    """As the page says it."""
    if name in ("starlette", "fastapi", "litestar"):
        return _under_uvicorn(name, port)
    if name in ("flask", "django"):
        return _under_gunicorn(name)
    return ("-m", f"examples.mounting.{name}_app")


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(name: str, folder: Path) -> Iterator[int]:
    """The port of the example, once somebody listens there."""
    port = a_free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PORT": str(port),
        "TTSORCH_TOKENS": "secret-a=ann,secret-b=bob",
        "TTSORCH_DATABASE_URL": f"sqlite:///{folder / 'ttsorch.db'}",
        "TTSORCH_BLOB_URL": (folder / "blobs").as_uri(),
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command(name, str(port))],
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process, folder / "log")
        yield port
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(PATIENCE)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if Client(port).get("/api/health").status == 200:
                return
        except OSError:
            pause.wait(0.05)
    raise AssertionError(log.read_text())


def finished(client: Client, task_id: object) -> Mapping[str, object]:
    """The task once it has ended, polled when the server says it is worth while."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while time.monotonic() < deadline:
        task = client.get(f"/api/tasks/{task_id}").json
        hint = task["poll_after_ms"]
        if not isinstance(hint, int):
            return task
        pause.wait(hint / 1000)
    raise AssertionError("the task did not end")


FRAMEWORKS = ("asgi", "starlette", "fastapi", "litestar", "aiohttp", "flask", "django")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_example_speaks(name: str, tmp_path: Path) -> None:
    """Generate, poll, listen, with one token; another one sees nothing, and none is refused."""
    with running(name, tmp_path) as port:
        ann, bob = Client(port, token="secret-a"), Client(port, token="secret-b")
        voices = ann.get("/api/voices?search=English%20(America)").json["voices"]
        assert isinstance(voices, list)
        job = {"voice_id": voices[0]["id"], "text": "Hello, world."}
        task = ann.post("/api/generate", job).json
        result = finished(ann, task["task_id"])["result"]
        assert isinstance(result, dict)
        link = ann.get(str(result["audio_url"])).headers["location"]
        audio = Client(port, token=None).get(link)
        assert audio.headers["content-type"] == "audio/wav"
        assert loudest_sample(audio.content) > 1000
        assert bob.get(f"/api/tasks/{task['task_id']}").status == 404
        for wrong in ("guessed", "\xff"):
            assert Client(port, token=wrong).get("/api/tasks").status == 401
        assert after_an_early_refusal(port) == [401, 200, 401, 200]


def after_an_early_refusal(port: int) -> list[int]:
    """What is answered on one connection to requests whose bodies nobody read, and to those after them; one
    of the bodies comes apart from its head."""
    connection, statuses = HTTPConnection("127.0.0.1", port, timeout=PATIENCE), list[int]()
    body = b" " * 10_000
    for apart in (False, True):
        connection.putrequest("POST", "/api/generate")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(None if apart else body)
        if apart:
            connection.send(body)
        statuses += [_status(connection)]
        connection.request("GET", "/api/health")
        statuses += [_status(connection)]
    connection.close()
    return statuses


def _status(connection: HTTPConnection) -> int:
    answer = connection.getresponse()
    answer.read()
    return answer.status


@pytest.mark.parametrize(
    ("sent", "owner"),
    [
        ("Bearer secret-a", "ann"),
        ("bearer secret-b", "bob"),
        ("secret-a", None),
        ("Basic secret-a", None),
        ("Bearer", None),
        ("", None),
        ("Bearer secret-\xe4", None),
        ("Bearer \udcff\udcfe", None),
    ],
)
def test_the_examples_know_a_bearer_token(
    sent: str, owner: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else (RFC 6750, the scheme in any case), whatever bytes are in the header."""
    tokens = {"TTSORCH_TOKENS": "secret-a=ann,secret-b=bob"}
    monkeypatch.setattr(settings, "config", Config.from_env(tokens))
    assert settings.owner_of(sent) == owner


# --- the page -----------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "mounting.md").read_text()


@pytest.mark.parametrize(
    "file",
    [
        *(f"{name}_app.py" for name in FRAMEWORKS),
        "settings.py",
        "blocking.py",
        "gunicorn_workers.py",
    ],
)
def test_the_page_shows_the_example_as_it_is(file: str) -> None:
    """Word for word, under its file name."""
    shown = re.search(rf"`examples/mounting/{file}`:\n\n```py\n(.*?)```\n", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] == (ROOT / "examples" / "mounting" / file).read_text()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_page_says_how_to_start_it(name: str) -> None:
    """With the command that the test above starts it with."""
    words = " ".join(command(name, "PORT"))
    told = (
        words.removeprefix("-m ")
        if "gunicorn" in words or "uvicorn" in words
        else f"python {words}"
    )
    assert told.replace(" --lifespan on", "").replace(" --port PORT", "") in PAGE


@pytest.mark.parametrize("name", ["starlette", "fastapi", "litestar", "aiohttp", "flask", "django"])
def test_the_page_has_the_install_line(name: str) -> None:
    """With the extra of that name."""
    assert f"pip install 'ttsorch[local,{name}]'" in PAGE
