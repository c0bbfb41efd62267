"""A folder of one's own, an environment without settings, and commands run in this process."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from typer.testing import CliRunner, Result

import ttsorch.config
from ttsorch.cli.commands import app
from ttsorch.testing.fakes import FakeJobProvider

#: Runs ``ttsorch`` with these arguments, and standard input.
Command: TypeAlias = Callable[..., Result]
#: Puts somebody at the end of standard error, who sees what this returns.
Watched: TypeAlias = "Callable[[], Terminal]"


class Terminal(StringIO):
    """A stream that says that somebody is watching."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of every test here, empty."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("TTS") or name in ("HOST", "PORT"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """A command that was stopped leaves its process to its signal handlers; here it goes on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> FakeJobProvider:
    """A job provider in the place of whatever is configured."""
    fake = FakeJobProvider()

    def load(name: str, environ: Mapping[str, str]) -> FakeJobProvider:
        return fake

    monkeypatch.setattr(ttsorch.config, "load_provider", load)
    return fake


@pytest.fixture
def ttsorch_command() -> Command:
    """``ttsorch`` in this process, with neither end on a terminal."""

    def run(*arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin)

    return run


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Puts somebody who watches at the end of standard error, once called: pytest sets the stream anew
    when the test begins."""

    def watch() -> Terminal:
        terminal = Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", terminal)
        return terminal

    return watch


def record(result: Result) -> dict[str, Any]:
    """The one JSON object on standard output."""
    [line] = result.stdout.splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed
