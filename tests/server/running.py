"""The reference server as a process of its own, as a user starts it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
READY = "ttsorch reference server on "
#: In seconds; generous, because tests share their machine.
PATIENCE = 60.0


@dataclass
class Running:
    """A server that said it was ready at ``address``."""

    process: "subprocess.Popen[str]"
    address: str
    log: Path

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=PATIENCE)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """A clean environment whose data lives in ``folder``."""
    return {
        "PATH": os.environ["PATH"],
        "PORT": "0",
        "TTSORCH_DATABASE_URL": f"sqlite:///{folder / 'ttsorch.db'}",
        "TTSORCH_BLOB_URL": (folder / "blobs").as_uri(),
        **settings,
    }


def start(folder: Path, **settings: str) -> Running:
    """A server over the data in ``folder``, ready to be asked."""
    log = folder / "server.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.reference_server"],
            cwd=ROOT,
            env=environment(folder, **settings),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    assert process.stdout is not None
    line = process.stdout.readline()
    watchdog.cancel()
    assert line.startswith(READY), log.read_text()
    return Running(process, line.removeprefix(READY).strip(), log)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Running]:
    """:func:`start`, and the end of it whatever happens."""
    server = start(folder, **settings)
    try:
        yield server
    finally:
        end(server)


def end(server: Running) -> None:
    """At once, if it hasn't ended already."""
    if server.process.poll() is None:
        server.process.kill()
    server.process.wait(PATIENCE)
    if server.process.stdout is not None:
        server.process.stdout.close()


def refused(folder: Path, **settings: str) -> tuple[int, str]:
    """The exit status and the last words of a server that can't start."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.reference_server"],
        cwd=ROOT,
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr
