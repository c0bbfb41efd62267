"""The reference server in each of its modes."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx

from tests.browser.hands import LocalVendor, ModalVendor, QwenVendor, Vendor
from tests.server.running import PATIENCE, Running, end, start
from tests.server.vendors import beside
from ttsorch.testing.fake_dashscope import fake_dashscope
from ttsorch.testing.fake_modal import fake_modal
from ttsorch.testing.speech import tone_wav

MODES = ("local", "modal", "qwen")
#: What a vendor's fake says: long enough to hear time pass.
TONE_SECONDS = 3.0
_TONE = tone_wav(TONE_SECONDS, rate=24_000)
#: A recording that every vendor takes for a clone.
CLIP = tone_wav(4.0, rate=24_000)
TRANSCRIPT = "One two three."

_OWNERS = 200


class Stage:
    """A server, its vendor, and owners who have nothing yet. ``token`` is the owner's of this test."""

    def __init__(
        self, mode: str, folder: Path, settings: Mapping[str, str], *, with_tokens: bool
    ) -> None:
        self.mode = mode
        self.folder = folder
        self._tokens = (f"token-{number}" for number in itertools.count())
        known = ",".join(f"token-{number}=owner-{number}" for number in range(_OWNERS))
        self.port = free_port()
        self._settings = {
            "TTS_PROVIDER_MODE": mode,
            "PORT": str(self.port),
            **({"TTSORCH_TOKENS": known} if with_tokens else {}),
            **settings,
        }
        self.vendor: Vendor = LocalVendor(self)
        self.token = ""
        self.server = self._start()
        # Kept: making one costs more than most of what is asked. It drops connections before the server does.
        self.client = httpx.Client(
            base_url=self.address,
            timeout=PATIENCE,
            limits=httpx.Limits(keepalive_expiry=2.0),
        )

    @property
    def address(self) -> str:
        return self.server.address

    def _start(self) -> Running:
        return start(self.folder, **self._settings)

    def kill(self) -> None:
        """As a power cut does."""
        end(self.server)

    def restart(self) -> None:
        """On the same port and data, after :meth:`kill`."""
        self.server = self._start()

    def new_owner(self) -> str:
        """The token of somebody who has never been here; where the mode has no voices of its own, with a
        cloned one called "Anna"."""
        self.token = next(self._tokens)
        self.client.headers["authorization"] = f"Bearer {self.token}"
        self.vendor.begin()
        if self.mode != "local":
            self.clone("Anna")
        return self.token

    def ask(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        """What the server says to the owner of this test, which must be a success."""
        answer = self.client.request(method, path, json=json)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def clone(self, name: str) -> str:
        """The id of a new voice, made over HTTP."""
        about = {"name": name, "language": "English", "transcript": TRANSCRIPT}
        begun = self.ask("POST", "/api/clone/upload-url", about)
        self.client.put(begun["upload_url"], content=CLIP).raise_for_status()
        done = self.client.post(
            "/api/clone/finalize", json={**about, "voice_id": begun["voice_id"]}
        )
        assert done.status_code == 200, done.text
        voice_id: str = done.json()["id"]
        return voice_id

    def speak(self, text: str, *, language: str = "Auto") -> str:
        """The id of a new task, made over HTTP, with the first voice there is."""
        return self._say(self._first_voice(), text, language)

    def try_to_speak(self, text: str) -> None:
        """:meth:`speak`, to a vendor who refuses."""
        request = {"voice_id": self._first_voice(), "text": text}
        assert self.client.post("/api/generate", json=request).status_code == 502

    def _first_voice(self) -> str:
        search = "English" if self.mode == "local" else ""
        [voice, *_] = self.ask("GET", f"/api/voices?search={search}")["voices"]
        return str(voice["id"])

    def _say(self, voice_id: str, text: str, language: str = "Auto") -> str:
        request = {"voice_id": voice_id, "text": text, "language": language}
        return str(self.ask("POST", "/api/generate", request)["task_id"])

    def spoken(self, text: str, *, language: str = "Auto") -> str:
        """:meth:`speak`, and wait until it is done."""
        task_id = self.speak(text, language=language)
        self.wait_until(lambda: self.task(task_id)["status"] not in ("pending", "processing"))
        return task_id

    def spoken_all(self, texts: Iterable[str]) -> None:
        """The same with many, at once; the last one is the newest in the history."""
        voice_id = self._first_voice()
        for text in texts:
            self._say(voice_id, text)
        active = "/api/tasks?status=active"
        self.wait_until(
            lambda: not [self.task(each["id"]) for each in self.ask("GET", active)["tasks"]]
        )

    def task(self, task_id: str) -> dict[str, Any]:
        return self.ask("GET", f"/api/tasks/{task_id}")

    def wait_until(self, true: Callable[[], bool], pause: float = 0.05) -> None:
        """Look again and again, as a client does: nothing tells us."""
        deadline, clock = time.monotonic() + 30, threading.Event()
        while not true():
            assert time.monotonic() < deadline, "waited for nothing"
            clock.wait(pause)

    def in_progress(self, speak: Callable[[], None]) -> None:
        """What ``speak`` asks for goes on until the vendor is released."""
        if self.mode != "local":
            self.vendor.hold()
        speak()
        if self.mode == "local":
            self.vendor.hold()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def _tone(text: str) -> bytes:
    return _TONE


@contextmanager
def staged(mode: str, folder: Path, *, with_tokens: bool = True) -> Iterator[Stage]:
    """A server in ``mode``, against a fake where the mode is a vendor's."""
    with ExitStack() as stack:
        gate = threading.Event()
        gate.set()

        async def when_open(text: str) -> bytes:
            await anyio.to_thread.run_sync(gate.wait, abandon_on_cancel=True)
            return _TONE

        vendor: Vendor | None = None
        environ: Mapping[str, str] = {}
        if mode == "modal":
            modal = stack.enter_context(beside(fake_modal(speak=_tone, checks_until_done=0)))
            vendor, environ = ModalVendor(modal), modal.environ()
        elif mode == "qwen":
            qwen = stack.enter_context(beside(fake_dashscope(speak=when_open)))
            vendor, environ = QwenVendor(qwen, gate), qwen.environ()
            stack.callback(gate.set)
        stage = Stage(mode, folder, environ, with_tokens=with_tokens)
        stack.callback(stage.kill)
        stack.callback(stage.client.close)
        if vendor is not None:
            stage.vendor = vendor
        yield stage
