"""The installed command, as a process: exit codes, signals, pipes, terminals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Terminal
from ttsorch.cli.stopping import _leave

TTSORCH = str(Path(sys.executable).with_name("ttsorch"))
#: Some seconds of work for the engine, so that a signal comes in the middle of it.
LONG_TEXT = "语音合成" * 2500
CHINESE = ("--voice", "cmn-latn-pinyin")


def run(*arguments: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Run ``ttsorch`` to its end."""
    return subprocess.run(
        [TTSORCH, *arguments], input=stdin, capture_output=True, timeout=60, check=False
    )


def python(program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, timeout=60, check=False
    )


class Watched:
    """A command whose standard error, and perhaps input, is a terminal."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int) -> None:
        self.process = process
        self.terminal = terminal
        self.seen = b""

    def read_until(self, words: bytes) -> None:
        """Wait until the command has shown ``words``."""
        while words not in self.seen:
            chunk = self._read()
            assert chunk, f"ended before {words!r}: {self.seen!r}"
            self.seen += chunk

    def read_rest(self) -> None:
        """Wait until nobody can write to the terminal any more."""
        while chunk := self._read():
            self.seen += chunk

    def _read(self) -> bytes:
        try:
            return os.read(self.terminal, 4096)
        except OSError:  # Linux says so when the other end is closed
            return b""


@contextmanager
def watching(arguments: Sequence[str], **environ: str) -> Iterator[Watched]:
    """``ttsorch`` with a terminal at standard error."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [TTSORCH, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(end)
    try:
        yield Watched(process, terminal)
    finally:
        process.kill()
        process.communicate()
        os.close(terminal)


def children(process: "subprocess.Popen[bytes]") -> list[int]:
    """The ids of a process's children."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in listed.split()]


def tasks() -> list[dict[str, Any]]:
    """What the database says."""
    listed: list[dict[str, Any]] = json.loads(run("tasks", "--json").stdout)["tasks"]
    return listed


def test_a_text_is_spoken_by_the_embedded_engine(folder: Path) -> None:
    """From standard input to a WAV file, without a word into the pipes."""
    done = run("say", "-", "--voice", "en-us", "--out", "hello.wav", stdin=b"Hello, world.\n")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (folder / "hello.wav").read_bytes()[:4] == b"RIFF"


def test_audio_goes_into_a_pipe() -> None:
    """Nothing but audio."""
    done = run("say", "Hello.", "--out", "-")

    assert (done.returncode, done.stdout[:4], done.stderr) == (0, b"RIFF", b"")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["say"], b"Missing argument 'TEXT'"),
        (["say", "Hello.", "--nonsense"], b"No such option: --nonsense"),
        (["say", "Hello.", "--voice", "nobody"], b"There is no voice 'nobody'"),
        (["nonsense"], b"No such command 'nonsense'"),
    ],
)
def test_a_usage_error_exits_with_2(arguments: list[str], complaint: bytes) -> None:
    """With a sentence, without a traceback."""
    done = run(*arguments)

    assert (done.returncode, complaint in done.stderr) == (2, True)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_a_job_cancels_it(
    folder: Path, number: signal.Signals, code: int
) -> None:
    """The row says cancelled, the engine's process is gone, no file is left."""
    with watching(["say", LONG_TEXT, *CHINESE, "--json"]) as command:
        command.read_until(b"Speaking")
        while not (engines := children(command.process)):
            assert command.process.poll() is None
        command.process.send_signal(number)
        stdout, _ = command.process.communicate(timeout=30)
        command.read_rest()
    [task] = tasks()

    assert (command.process.returncode, command.seen.endswith(b"Stopped.\r\n")) == (code, True)
    assert (task["id"], task["status"]) == (json.loads(stdout)["task_id"], "cancelled")
    assert not any(Path(f"/proc/{engine}").exists() for engine in engines)
    assert os.listdir(folder) == ["data"]


STUBBORN = """
import os, signal, sys
import anyio
import ttsorch.config
from ttsorch.cli import main
from ttsorch.testing.fakes import FakeJobProvider

provider = FakeJobProvider()
ttsorch.config.load_provider = lambda name, environ: provider

def interrupt(call):
    if call != "submit":
        os.kill(os.getpid(), signal.SIGINT)
        return anyio.Event()

provider.script.pause = interrupt
sys.argv = ["ttsorch", "say", "Hello."]
main()
"""


def test_a_second_ctrl_c_waits_for_nothing() -> None:
    """Here the provider never answers the cancelling; the row is cancelled already."""
    done = python(STUBBORN)

    assert (done.returncode, done.stderr) == (130, b"")
    assert [task["status"] for task in tasks()] == ["cancelled"]


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, b"\x1b[?25h\n"), (StringIO, b"")])
def test_a_terminal_gets_its_cursor_back(
    monkeypatch: pytest.MonkeyPatch, stream: type[StringIO], shown: bytes
) -> None:
    """Also when the process ends at once, with the signal's exit code."""
    written, codes = [b""], list[int]()
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "write", lambda descriptor, data: written.append(data))
    monkeypatch.setattr(os, "_exit", codes.append)
    _leave(str, signal.SIGINT, None)
    monkeypatch.undo()

    assert (b"".join(written), codes) == (shown, [130])


def test_the_live_line_is_gone_at_the_end() -> None:
    """A terminal sees words and time while it lasts, then one line that stays."""
    with watching(["say", "Hello.", "--out", "a.wav"]) as command:
        command.read_rest()
        assert command.process.wait(30) == 0

    assert b"Speaking" in command.seen
    assert b"0:00:0" in command.seen
    assert b"/a.wav: " in command.seen.splitlines()[-1]
    assert b" of audio/wav, " in command.seen.splitlines()[-1]


@pytest.mark.parametrize(("environ", "colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_is_respected(environ: dict[str, str], colours: bool) -> None:
    """https://no-color.org: no SGR colour codes."""
    with watching(["say", "Hello."], **environ) as command:
        command.read_rest()

    assert (b"\x1b[3" in command.seen) is colours


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """As in `ttsorch voices | head -1`: no traceback, no complaint."""
    process = subprocess.Popen([TTSORCH, "voices"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    complaint = process.stderr.read()
    process.stderr.close()
    process.wait(30)

    assert complaint == b""


def test_names_are_printed_whatever_the_terminal_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoding that lacks a letter gets it escaped."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    run("say", "Grüße")
    done = run("tasks")

    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Gr\xfc\xdfe" in done.stdout


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(missing: str) -> None:
    """One sentence, exit code 2."""
    done = python(f"import sys; sys.modules['{missing}'] = None; import ttsorch.cli as c; c.main()")

    assert (done.returncode, done.stderr) == (
        2,
        b"The ttsorch command needs an extra: pip install 'ttsorch[cli]'\n",
    )


def test_help_is_quick() -> None:
    """It imports neither the library's machinery nor rich's."""
    done = python(
        "import sys\n"
        "sys.argv = ['ttsorch', '-h']\n"
        "from ttsorch.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('ttsorch.config', 'httpx', 'sqlite3', 'rich.console')"
        " if name in sys.modules])"
    )

    assert done.stdout.splitlines()[-1] == b"[]"


BROKEN = """
import sys
import ttsorch.cli.target
from ttsorch.cli import main
ttsorch.cli.target.choose_target = None
sys.argv = ["ttsorch", "say", "Hello."]
main()
"""


def test_a_defect_of_ours_is_one_line_too() -> None:
    """No traceback ever; exit code 1."""
    done = python(BROKEN)

    assert (done.returncode, done.stderr) == (1, b"ttsorch: unexpected error: TypeError\n")
