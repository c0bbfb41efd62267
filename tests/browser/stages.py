"""The reference server in each of its modes, and what decides there when a job is done."""

import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import httpx

from tests.server.running import PATIENCE, Running, end, start
from tests.server.vendors import beside
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.fake_modal import FakeModal, fake_modal
from ttsorch.testing.speech import tone_wav
from ttsorch.testing.vendor_ledger import VendorLedger

MODES = ("local", "modal", "qwen")
#: What a vendor's fake says: long enough to hear time pass.
TONE_SECONDS = 3.0
_TONE = tone_wav(TONE_SECONDS, rate=24_000)
#: A recording that every vendor takes for a clone.
CLIP = tone_wav(4.0, rate=24_000)
TRANSCRIPT = "One two three."

_OWNERS = 200


class Vendor(Protocol):
    """Who does the work, and does it when the test lets it."""

    def hold(self) -> None:
        """What is asked for from now on isn't done."""

    def release(self) -> None:
        """Everything that was held is done, and what comes next is done at once."""

    def fail(self, error: str) -> None:
        """What was asked for last fails."""

    def accepted(self, text: str) -> int:
        """How often the vendor took this text on, and would have been paid, since the last owner came."""

    def begin(self) -> None:
        """A new owner comes."""


def since(before: VendorLedger, now: VendorLedger, text: str) -> int:
    """How often ``text`` is on the bill that wasn't there before."""
    return now.accepted_texts().count(text) - before.accepted_texts().count(text)


class ModalVendor:
    def __init__(self, fake: FakeModal) -> None:
        self.fake = fake
        self._before = VendorLedger()

    def begin(self) -> None:
        self._before = replace(self.fake.ledger, accepted=list(self.fake.ledger.accepted))

    def hold(self) -> None:
        self.fake.checks_until_done = None

    def release(self) -> None:
        self.fake.checks_until_done = 0
        for job_id in list(self.fake.jobs):
            self.fake.finish(job_id)

    def accepted(self, text: str) -> int:
        return since(self._before, self.fake.ledger, text)

    def fail(self, error: str) -> None:
        """The newest job ends like this."""
        [*_, job_id] = self.fake.jobs
        self.fake.fail(job_id, error)


class QwenVendor:
    def __init__(self, fake: FakeDashScope, gate: threading.Event) -> None:
        self.fake = fake
        self._gate = gate
        self._before = VendorLedger()

    def begin(self) -> None:
        self._before = replace(self.fake.ledger, accepted=list(self.fake.ledger.accepted))

    def hold(self) -> None:
        self._gate.clear()

    def release(self) -> None:
        self._gate.set()

    def accepted(self, text: str) -> int:
        return since(self._before, self.fake.ledger, text)

    def fail(self, error: str) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to


class LocalVendor:
    """The embedded engine, a child process for each text. It can only be held once it has begun: ask it for
    something long."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self._held: list[int] = []

    def begin(self) -> None:
        """What was there before belongs to others."""

    def hold(self) -> None:
        server = self._stage.server.process.pid
        self._stage.wait_until(lambda: bool(children(server)), pause=0.005)
        self._held = children(server)
        for child in self._held:
            os.kill(child, signal.SIGSTOP)

    def release(self) -> None:
        for child in self._held:
            try:
                os.kill(child, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self._held = []

    def fail(self, error: str) -> None:
        raise NotImplementedError  # only Modal's jobs can be told to

    def accepted(self, text: str) -> int:
        """The engine keeps no books, so the rows are counted."""
        found = self._stage.ask("GET", "/api/generations?per_page=100")["generations"]
        return sum(line["text"] == text for line in found)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started and that haven't ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which may hold anything and stands in brackets: state, parent.
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.parent.name))
    return found


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
