"""``ttsorch say``: from a text to a file, through the same steps as everywhere."""

import os
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import Command, Watched, record
from ttsorch.cli import commands
from ttsorch.cli.live_line import live_line
from ttsorch.errors import ProviderRejected, StorageUnavailable
from ttsorch.models import Job, Phase, Policy
from ttsorch.states import new_task
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import a_voice


def test_a_text_becomes_a_file(
    ttsorch_command: Command, folder: Path, provider: FakeJobProvider
) -> None:
    """Quietly: nobody watches."""
    result = ttsorch_command("say", "Hello.", "--out", "hello.wav")

    assert (result.exit_code, result.output) == (0, "")
    assert (folder / "hello.wav").read_bytes() == provider.audio
    assert sorted(os.listdir(folder)) == ["data", "hello.wav"]


def test_without_a_name_the_next_free_one_is_taken(
    ttsorch_command: Command, folder: Path, provider: FakeJobProvider
) -> None:
    """Nothing that was paid for is refused at the end, and no file is overwritten."""
    (folder / "speech.wav").write_text("mine")
    first = record(ttsorch_command("say", "Hello.", "--json"))
    second = record(ttsorch_command("say", "Hello.", "--json"))

    assert (folder / "speech.wav").read_text() == "mine"
    assert [first["out"], second["out"]] == [
        str(folder / "speech-2.wav"),
        str(folder / "speech-3.wav"),
    ]


def test_json_tells_everything(
    ttsorch_command: Command, folder: Path, provider: FakeJobProvider
) -> None:
    """One object; the task and the generation that the database has, too."""
    said = record(ttsorch_command("say", "Hello.", "--out", "a.wav", "--json"))
    [task] = record(ttsorch_command("tasks", "--json"))["tasks"]

    assert said == {
        "task_id": task["id"],
        "generation_id": task["generation_id"],
        "status": "completed",
        "out": str(folder / "a.wav"),
        "duration_seconds": 0.25,
        "bytes": len(provider.audio),
        "content_type": "audio/wav",
        "error": None,
    }


def test_standard_output_gets_the_bare_audio(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """Every byte, and nothing else."""
    assert ttsorch_command("say", "Hello.", "--out", "-").stdout_bytes == provider.audio


@pytest.mark.parametrize(
    ("stdin", "text"),
    [
        (b"Hello,\nworld.\n", "Hello,\nworld."),
        ("\ufeffGrüße".encode(), "Grüße"),
    ],
)
def test_the_text_can_come_from_standard_input(
    ttsorch_command: Command, provider: FakeJobProvider, stdin: bytes, text: str
) -> None:
    """UTF-8, without a byte order mark or the last line break."""
    assert ttsorch_command("say", "-", stdin=stdin).exit_code == 0
    [task] = record(ttsorch_command("tasks", "--json"))["tasks"]

    assert task["text"] == text


def test_the_owner_and_the_language_go_along(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """Another owner's tasks are listed for nobody else."""
    ttsorch_command("say", "Bonjour.", "--language", "French", "--owner", "ann")

    assert record(ttsorch_command("tasks", "--json"))["tasks"] == []
    [task] = record(ttsorch_command("tasks", "--json", "--owner", "ann"))["tasks"]
    assert task["language"] == "French"


def test_the_provider_option_goes_before_the_environment(
    ttsorch_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are read the same way."""
    monkeypatch.setenv("TTS_PROVIDER_MODE", "local")
    result = ttsorch_command("say", "Hello.", "--provider", "nope")

    assert result.exit_code == 2
    assert "Invalid TTS_PROVIDER_MODE: nope. Expected one of: local" in result.stderr


def test_settings_of_servers_are_not_read(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shells export HOST; a command binds no address and asks for no token."""
    monkeypatch.setenv("HOST", "my-computer")
    monkeypatch.setenv("PORT", "not a port")

    assert ttsorch_command("say", "Hello.").exit_code == 0


def test_a_name_that_promises_another_format_is_pointed_out(
    ttsorch_command: Command, folder: Path, provider: FakeJobProvider
) -> None:
    """The file is written all the same."""
    result = ttsorch_command("say", "Hello.", "--out", "a.mp3")

    assert (result.exit_code, (folder / "a.mp3").exists()) == (0, True)
    assert result.stderr == "ttsorch: note: the audio in a.mp3 is audio/wav\n"


# --- what can't be done as asked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["say", ""], "Please enter text to speak"),
        (["say", "x" * 10_001], "Text cannot exceed 10000 characters"),
        (["say", "Hello.", "--voice", "nobody"], "There is no voice 'nobody'. See: ttsorch voices"),
        (["say", "Hello.", "--voice", "\x1b[2J"], r"There is no voice '\x1b[2J'."),
        (["say", "Hello.", "--out", "data"], "data is a folder."),
        (["say", "Hello.", "--out", "no/where.wav"], "no such folder"),
        (["say", "Hello.", "--out", "old.wav"], "old.wav exists already; --force overwrites it."),
        (["say", "Hello.", "--json", "--out", "-"], "both want standard output"),
        (["sweep", "--watch", "0"], "--watch must be a positive number of seconds."),
        (["sweep", "--watch", "nan"], "--watch must be a positive number of seconds."),
        (["sweep", "--watch", "inf"], "--watch must be a positive number of seconds."),
    ],
)
def test_what_cannot_be_done_as_asked_costs_nothing(
    ttsorch_command: Command,
    folder: Path,
    provider: FakeJobProvider,
    arguments: list[str],
    complaint: str,
) -> None:
    """Exit code 2 and a sentence; no call to the provider."""
    (folder / "data").mkdir()
    (folder / "old.wav").touch()
    result = ttsorch_command(*arguments)

    assert (result.exit_code, provider.ledger.submits) == (2, 0)
    assert result.stderr.startswith("ttsorch: ")
    assert complaint in result.stderr
    assert record(result)["error"]["category"] == "validation" if "--json" in arguments else True


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [
        (b"\xff\xfe", "Standard input is not UTF-8 text."),
        (b"long", "Standard input is too long to be spoken."),
    ],
)
def test_standard_input_that_is_no_text_is_refused(
    ttsorch_command: Command,
    provider: FakeJobProvider,
    monkeypatch: pytest.MonkeyPatch,
    stdin: bytes,
    complaint: str,
) -> None:
    """Before anything is opened."""
    monkeypatch.setattr(commands, "_LONGEST_INPUT", 3)
    result = ttsorch_command("say", "-", stdin=stdin)

    assert (result.exit_code, complaint in result.stderr) == (2, True)


def test_a_provider_without_voices_says_so(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to choose from."""

    async def no_voices() -> tuple[()]:
        return ()

    monkeypatch.setattr(provider, "voices", no_voices)
    result = ttsorch_command("say", "Hello.")

    assert (result.exit_code, "no built-in voices" in result.stderr) == (2, True)


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_job_that_fails_is_told_in_one_sentence(
    ttsorch_command: Command, folder: Path, provider: FakeJobProvider
) -> None:
    """Exit code 1, the provider's cleaned words, and no file."""
    provider.script.submit.append(ProviderRejected("That voice is on holiday."))
    result = ttsorch_command("say", "Hello.")

    assert (result.exit_code, result.output) == (1, "ttsorch: That voice is on holiday.\n")
    assert os.listdir(folder) == ["data"]


def test_a_job_that_fails_is_told_with_what_the_operator_has_to_know(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """At the command line nobody else reads the provider's own words, and there is no log."""
    provider.script.submit.append(
        ProviderRejected("No.", code="provider_auth", detail="HTTP 401: missing credentials")
    )

    assert ttsorch_command("say", "Hello.").stderr == (
        "ttsorch: No. (provider_auth: HTTP 401: missing credentials)\n"
    )


def test_json_tells_of_a_failed_job(ttsorch_command: Command, provider: FakeJobProvider) -> None:
    """With the category and code that its row has."""
    provider.script.submit.append(ProviderRejected("That voice is on holiday.", code="on_holiday"))
    said = record(ttsorch_command("say", "Hello.", "--json"))

    assert (said["status"], said["out"], said["bytes"]) == ("failed", None, None)
    assert said["error"] == {
        "category": "provider_rejected",
        "code": "on_holiday",
        "message": "That voice is on holiday.",
    }


def test_json_names_the_task_when_the_database_goes_away(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job may still finish: whoever reads this can look for it."""

    async def record_poll(store: SqliteTaskStore, owner: str, task_id: str) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(SqliteTaskStore, "record_poll", record_poll)
    result = ttsorch_command("say", "Hello.", "--json")
    said = record(result)

    assert (result.exit_code, said["status"]) == (1, "processing")
    assert (len(said["task_id"]), said["error"]["code"]) == (36, "storage_unavailable")


def test_a_status_check_that_fails_is_no_failed_job(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """The provider is simply asked again."""
    provider.script.check.append(ProviderRejected())

    assert ttsorch_command("say", "Hello.").exit_code == 0


# --- signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("moment", ["submit", "check", "fetch"])
def test_a_signal_cancels_the_job_for_good(
    ttsorch_command: Command,
    folder: Path,
    provider: FakeJobProvider,
    number: int,
    code: int,
    moment: str,
) -> None:
    """Whenever it comes: the row says cancelled, the provider is told, no file is left."""

    def interrupt(call: str) -> anyio.Event | None:
        if call != moment:
            return None
        os.kill(os.getpid(), number)
        # The submit goes on: only its answer tells which job to cancel.
        return None if moment == "submit" else anyio.Event()

    provider.script.pause = interrupt
    result = ttsorch_command("say", "Hello.", "--json")
    said = record(result)
    [task] = record(ttsorch_command("tasks", "--json"))["tasks"]

    assert (result.exit_code, result.stderr) == (code, "")
    assert (said["status"], said["error"]["code"]) == ("cancelled", "cancelled")
    assert (task["id"], task["status"]) == (said["task_id"], "cancelled")
    assert provider.ledger.cancels == ["job-1"]
    assert os.listdir(folder) == ["data"]


def test_an_ignored_signal_stays_ignored(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell starts its background commands so: Ctrl-C is meant for another one."""

    def interrupt(call: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    provider.script.pause = interrupt
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ttsorch_command("say", "Hello.").exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


# --- for people who watch -----------------------------------------------------------------------------


def a_job(phase: Phase, progress: float | None = None) -> Job:
    """A job in some phase."""
    task = new_task(
        id="task",
        owner="ann",
        provider="fake",
        voice=a_voice(),
        characters=5,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        policy=Policy(),
    )
    return Job(replace(task, phase=phase, progress=progress), None)


def test_the_live_line_says_what_the_job_is_at(watched: Watched) -> None:
    """In words; and a bar only if somebody knows how far it is."""
    terminal = watched()
    with live_line() as watch:
        watch(a_job(Phase.QUEUED))
    without_bar = terminal.getvalue()
    with live_line() as watch:
        watch(a_job(Phase.RUNNING, progress=0.5))
    with_bar = terminal.getvalue().removeprefix(without_bar)

    assert "Waiting to start" in without_bar
    assert "━" not in without_bar
    assert "Speaking" in with_bar
    assert "━" in with_bar


def test_a_provider_of_its_own_words_cannot_write_to_the_terminal(watched: Watched) -> None:
    """What it calls its progress is shown with every control character escaped."""
    terminal, running = watched(), a_job(Phase.RUNNING)
    with live_line() as watch:
        watch(replace(running, task=replace(running.task, word="\x07\x1b]0;mine[bold]")))

    assert r"\x07\x1b]0;mine[bold]" in terminal.getvalue()


def test_only_a_terminal_gets_a_live_line(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a pipe, nothing at all is written."""
    terminal, pipe = watched(), StringIO()
    with commands._watching() as watch:
        watch(a_job(Phase.RUNNING))
    monkeypatch.setattr(sys, "stderr", pipe)
    with commands._watching() as watch:
        watch(a_job(Phase.RUNNING))

    assert "Speaking" in terminal.getvalue()
    assert pipe.getvalue() == ""
