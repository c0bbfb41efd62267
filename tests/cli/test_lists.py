"""``ttsorch voices``, ``tasks``, ``sweep`` and ``migrate``."""

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

import ttsorch.config
from tests.cli.conftest import Command, Terminal, Watched, record
from ttsorch.cli import commands
from ttsorch.cli.choosing import choose_voice
from ttsorch.cli.reports import print_rows, tell
from ttsorch.config import LOCAL_OWNER, Config, open_orchestrator
from ttsorch.errors import ProviderRejected, StorageUnavailable, ValidationError
from ttsorch.models import SpeechRequest, Voice, VoiceSource
from ttsorch.orchestrator import Orchestrator, SweepReport
from ttsorch.store import open_task_store
from ttsorch.sync import SyncOrchestrator
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.speech import a_voice

# --- voices -------------------------------------------------------------------------------------------


def test_voices_are_tab_separated_into_a_pipe(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """Whole ids, no header: what cut and grep want."""
    voice = a_voice()

    assert ttsorch_command("voices").stdout == f"{voice.id}\t{voice.name}\tAuto\tbuiltin\n"


def test_voices_as_json(ttsorch_command: Command, provider: FakeJobProvider) -> None:
    """Under the key that the contract's R11 has."""
    [voice] = record(ttsorch_command("voices", "--json"))["voices"]

    assert (voice["name"], voice["source"], voice["tts_provider"]) == ("Anna", "builtin", "fake")


def test_the_engines_voices_are_searched_by_name_and_language(ttsorch_command: Command) -> None:
    """By a part of the name or description, in any case, and by a language's name."""
    found = record(ttsorch_command("voices", "--search", "SCOT", "--language", "english", "--json"))

    assert [voice["name"] for voice in found["voices"]] == ["English (Scotland)"]


async def _add_voices(config: Config, names: Sequence[str]) -> None:
    store = await open_task_store(config.database_url)
    for number, name in enumerate(names):
        voice = replace(
            a_voice(), id=f"own-{number}", name=name, owner=LOCAL_OWNER, source=VoiceSource.UPLOADED
        )
        await store.add_voice(voice)
    await store.aclose()


def test_ones_own_voices_come_first_however_many(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """All pages of them."""
    anyio.run(_add_voices, Config(), [f"Mine {number}" for number in range(101)])
    lines = ttsorch_command("voices").stdout.splitlines()

    assert len(lines) == 102
    assert lines[-1].endswith("\tAnna\tAuto\tbuiltin")


async def _add_voice_of(config: Config, provider: str) -> None:
    store = await open_task_store(config.database_url)
    fields = {"name": f"Of {provider}", "owner": LOCAL_OWNER, "source": VoiceSource.UPLOADED}
    await store.add_voice(replace(a_voice(provider), id=f"of-{provider}", **fields))  # type: ignore[arg-type]  # each of its own type
    await store.aclose()


def test_voices_of_another_provider_cannot_be_used(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """They are listed again once that provider is chosen."""
    anyio.run(_add_voice_of, Config(), "fake")
    anyio.run(_add_voice_of, Config(), "another")
    listed = record(ttsorch_command("voices", "--json"))["voices"]

    assert [voice["name"] for voice in listed] == ["Of fake", "Anna"]


def _voice(name: str, *, language: str = "Auto", **fields: str) -> Voice:
    return Voice(id=f"id-{name}", name=name, tts_provider="fake", language=language, **fields)  # type: ignore[arg-type]  # text fields only


VOICES = [
    _voice("Zoë", owner="ann", language="English"),
    _voice("Chinese (as English)", language="Chinese"),
    _voice("English (America)", language="English", provider_voice_id="gmw/en-US"),
    _voice("English (Scotland)", language="English", provider_voice_id="gmw/en-GB-scotland"),
    _voice("Jennifer", language="en-GB"),
    _voice("Jennifer Two", language="fr"),
]
MINE = _voice("Mine", owner="ann", language="English")


@pytest.mark.parametrize(
    ("wanted", "language", "name"),
    [
        ("id-Jennifer", "Auto", "Jennifer"),
        ("jennifer", "Auto", "Jennifer"),
        ("JENNIFER T", "Auto", "Jennifer Two"),
        ("gmw/en-us", "Auto", "English (America)"),
        ("en-us", "Auto", "English (America)"),
        ("scot", "Auto", "English (Scotland)"),
        ("ZOË", "Auto", "Zoë"),
        (None, "Auto", "English (America)"),
        (None, "chinese", "Chinese (as English)"),
        (None, "fr", "Jennifer Two"),
        (None, "Klingon", "Chinese (as English)"),
    ],
)
def test_a_voice_is_found_by_what_people_call_it(
    wanted: str | None, language: str, name: str
) -> None:
    """An exact name goes before a part of one; unasked, a built-in voice that fits the language."""
    assert choose_voice(VOICES, wanted, language=language).name == name


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("english (", "voice_ambiguous"), ("nobody", "voice_unknown"), (" ", "voice_unknown")],
)
def test_a_voice_that_is_not_the_only_one_is_refused(wanted: str, code: str) -> None:
    """Guessing would cost money."""
    with pytest.raises(ValidationError) as caught:
        choose_voice(VOICES, wanted)

    assert caught.value.code == code


def test_a_built_in_voice_of_any_language_goes_before_ones_own() -> None:
    """Cloned voices cost money, and are somebody's."""
    assert choose_voice([MINE, _voice("Cherry")], None, language="English").name == "Cherry"


def test_with_voices_of_ones_own_only_one_has_to_be_named() -> None:
    """Also when there is just one: it may be anybody's voice."""
    with pytest.raises(ValidationError) as caught:
        choose_voice([MINE], None)

    assert (caught.value.code, "--voice" in caught.value.message) == ("voice_required", True)


def test_a_voice_of_any_language_is_found_by_each(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """A provider whose voices speak all its languages says "Auto"."""
    [voice] = record(ttsorch_command("voices", "--language", "English", "--json"))["voices"]

    assert (voice["name"], voice["language"]) == ("Anna", "Auto")


def test_an_ambiguous_voice_lists_ten_at_most() -> None:
    """With their ids, to choose from."""
    with pytest.raises(ValidationError) as caught:
        choose_voice([_voice(f"Voice {number}") for number in range(13)], "voice")
    lines = caught.value.message.splitlines()

    assert lines[0] == "'voice' can mean 13 voices:"
    assert (lines[1], len(lines), lines[-1]) == ("  id-Voice 0  Voice 0", 12, "  and 3 more")


# --- tasks --------------------------------------------------------------------------------------------


def _submit(*texts: str, provider: str = "fake") -> None:
    with SyncOrchestrator(lambda: open_orchestrator(Config(), background=False)) as speech:
        for text in texts:
            speech.submit(SpeechRequest(text, a_voice(provider)), owner=LOCAL_OWNER)


def test_tasks_are_listed_newest_first(ttsorch_command: Command, provider: FakeJobProvider) -> None:
    """One line each, with nothing in it that a terminal would obey."""
    _submit("First.", "Second\n\x1b[31m" + "x" * 100)
    newest, oldest = (line.split("\t") for line in ttsorch_command("tasks").stdout.splitlines())

    assert (newest[1], newest[3], newest[4][:20]) == ("Speaking", "Anna", r"Second\n\x1b[31mxxxx")
    assert oldest[4] == "First."


def test_a_failed_task_is_listed_with_its_reason(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """By its stable code: the documents say what to do about each."""
    provider.script.submit.append(ProviderRejected(code="provider_auth"))
    ttsorch_command("say", "Hello.")

    assert ttsorch_command("tasks").stdout.split("\t")[1] == "Failed: provider_auth"


def test_tasks_can_be_limited_to_active_ones(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """And to a number."""
    ttsorch_command("say", "Done.")
    _submit("First.", "Second.")

    listed = record(ttsorch_command("tasks", "--active", "--json"))["tasks"]
    assert [task["text"] for task in listed] == ["Second.", "First."]
    assert len(record(ttsorch_command("tasks", "--limit", "1", "--json"))["tasks"]) == 1
    assert ttsorch_command("tasks", "--limit", "0").exit_code == 2


def test_tasks_of_unknown_outcome_can_be_listed(
    ttsorch_command: Command, provider: FakeJobProvider
) -> None:
    """Whoever pays the bill has to look at them, so they are everybody's."""
    provider.script.submit_reply_lost.append(lost_reply())
    _submit("Lost.", "Heard.")

    listed = record(ttsorch_command("tasks", "--unknown", "--json"))["tasks"]
    assert [(task["text"], task["provider_status"]) for task in listed] == [("Lost.", "unknown")]
    narrowed = ttsorch_command("tasks", "--unknown", "--owner", "ann")
    assert (narrowed.exit_code, narrowed.stdout) == (2, "")


def test_stuck_tasks_can_be_listed(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that can't be read shows in a sweep's report and in the list, of whoever it is."""
    direct = FakeDirectProvider("local")
    monkeypatch.setattr(ttsorch.config, "load_provider", lambda name, environ: direct)
    _submit("Hello.", provider="local")
    with closing(sqlite3.connect("data/ttsorch.db")) as db:
        db.execute("UPDATE tasks SET options = '{'")
        db.commit()
    swept = record(ttsorch_command("sweep", "--json"))
    in_words = ttsorch_command("sweep").stdout
    [task] = record(ttsorch_command("tasks", "--stuck", "--json"))["tasks"]

    assert (swept["stepped"], swept["stuck"]) == (0, [task])
    assert in_words.splitlines()[1] == "1 are stuck: ttsorch tasks --stuck"
    assert (task["owner"], task["failures"], task["reason"]) == (LOCAL_OWNER, 1, "unreadable")
    assert ttsorch_command("tasks", "--stuck").stdout == (
        f"{task['id']}\t{LOCAL_OWNER}\tqueued\t1\tunreadable\n"
    )
    for narrowing in ("--active", "--unknown"):
        assert ttsorch_command("tasks", "--stuck", narrowing).exit_code == 2


def test_a_database_that_cannot_be_opened_is_told_in_one_sentence(
    ttsorch_command: Command, folder: Path
) -> None:
    """Exit code 1; as JSON, too."""
    (folder / "data").touch()
    result = ttsorch_command("tasks", "--json")

    assert result.exit_code == 1
    assert result.stderr == (
        "ttsorch: TTSORCH_DATABASE_URL: cannot be opened (opening the database: File exists).\n"
    )
    assert record(result)["error"]["code"] == "storage_unavailable"


# --- sweep and migrate --------------------------------------------------------------------------------


def _make_due(monkeypatch: pytest.MonkeyPatch, *reports: SweepReport | Exception) -> None:
    """Let the next sweeps have these outcomes."""
    left = list(reports)

    async def sweep_once(orchestrator: Orchestrator) -> SweepReport:
        report = left.pop(0)
        if not left:
            os.kill(os.getpid(), signal.SIGINT)
        if isinstance(report, Exception):
            raise report
        return report

    monkeypatch.setattr(Orchestrator, "sweep_once", sweep_once)


def test_a_sweep_takes_due_tasks_further(
    ttsorch_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here: one that its process left queued."""
    direct = FakeDirectProvider("local")
    monkeypatch.setattr(ttsorch.config, "load_provider", lambda name, environ: direct)
    _submit("Hello.", provider="local")
    result = ttsorch_command("sweep")
    [task] = record(ttsorch_command("tasks", "--json"))["tasks"]

    assert (result.exit_code, result.stdout) == (0, "1 due, 0 could not be taken further\n")
    assert task["status"] == "completed"
    assert record(ttsorch_command("sweep", "--json")) == {"stepped": 0, "failed": 0, "stuck": []}


def test_a_sweep_that_left_something_undone_shows_it_to_cron(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1; the tasks stay due."""
    _make_due(monkeypatch, SweepReport(stepped=3, failed=1), SweepReport(0, 0))
    result = ttsorch_command("sweep", "--json")

    assert (result.exit_code, record(result)) == (1, {"stepped": 3, "failed": 1, "stuck": []})


def test_a_watch_sweeps_until_it_is_stopped(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that can't answer for a while doesn't end it."""
    _make_due(monkeypatch, SweepReport(1, 0), StorageUnavailable(), SweepReport(2, 0))
    result = ttsorch_command("sweep", "--watch", "0.001")

    assert result.exit_code == 130
    assert result.stdout.splitlines()[0] == "1 due, 0 could not be taken further"
    assert result.stderr == "ttsorch: Storage is temporarily unavailable. Please try again.\n"


def test_migrating_says_at_which_version_the_schema_is(ttsorch_command: Command) -> None:
    """In words, and as JSON."""
    version = record(ttsorch_command("migrate", "--json"))["schema_version"]

    assert version >= 1
    assert ttsorch_command("migrate").stdout == f"The database is at schema version {version}.\n"


def test_a_bad_setting_is_refused_by_name(
    ttsorch_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, and never the value."""
    monkeypatch.setenv("TTSORCH_DATABASE_URL", "mysql://c4nary@host")
    result = ttsorch_command("migrate")

    assert (result.exit_code, "c4nary" in result.output) == (2, False)
    assert result.stderr.startswith("ttsorch: TTSORCH_DATABASE_URL must be a URL that begins with")


# --- for people who watch -----------------------------------------------------------------------------


def test_a_terminal_gets_a_table_with_whole_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else has to give way."""
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    voice = a_voice()
    print_rows(("ID", "Name"), [(voice.id, "A name [bold]that\x07 is " + "long " * 10)])

    assert voice.id in terminal.getvalue()
    assert "[bold]that" in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()


def test_people_who_watch_are_told_how_it_ended(watched: Watched) -> None:
    """Others read the exit code."""
    terminal = watched()
    tell("speech.wav\x07: done")

    assert terminal.getvalue() == "speech.wav\\x07: done\n"


def test_the_version_is_printed(ttsorch_command: Command) -> None:
    """And nothing else is done."""
    result = ttsorch_command("--version")

    assert (result.exit_code, result.stdout[:8]) == (0, "ttsorch ")
    assert commands.app.info.name == "ttsorch"
