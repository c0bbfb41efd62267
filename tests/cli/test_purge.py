"""``ttsorch purge``: by age, or all of an owner."""

import os
import signal

import anyio
import pytest

from tests.cli.conftest import Command, record
from ttsorch.cli.reports import purge_words
from ttsorch.config import LOCAL_OWNER, Config, open_orchestrator
from ttsorch.models import PurgeReport
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import a_request


async def _speak(finished: int, active: int) -> None:
    async with open_orchestrator(Config(), background=False) as tts:
        for number in range(finished + active):
            job = await tts.submit(a_request(), owner=LOCAL_OWNER)
            while number < finished and not job.task.status.terminal:
                job = await tts.poll_once(job.task.id, owner=LOCAL_OWNER)


@pytest.fixture
def _lived(provider: FakeJobProvider) -> None:
    """Two tasks that ended, and one that goes on."""
    anyio.run(_speak, 2, 1)


@pytest.mark.usefixtures("_lived")
def test_old_rows_are_removed_without_being_asked_twice(ttsorch_command: Command) -> None:
    """No user loses anything by it: the history and what goes on stay."""
    young = record(ttsorch_command("purge", "--older-than", "1h", "--json"))
    dry = record(ttsorch_command("purge", "--older-than", "0s", "--dry-run", "--json"))
    result = ttsorch_command("purge", "--older-than", "0s")

    assert (young["tasks"], dry["tasks"], dry["dry_run"]) == (0, 2, True)
    assert (result.exit_code, result.stdout) == (0, "removed 2 tasks\n")
    assert len(record(ttsorch_command("tasks", "--json"))["tasks"]) == 1
    assert record(ttsorch_command("purge", "--owner", LOCAL_OWNER, "--json"))["generations"] == 2


@pytest.mark.usefixtures("_lived")
def test_audio_needs_a_yes(ttsorch_command: Command) -> None:
    """Without it, it only says what would go."""
    asked = ttsorch_command("purge", "--older-than", "0s", "--audio")
    still = record(ttsorch_command("purge", "--older-than", "0s", "--audio", "--json"))
    done = record(ttsorch_command("purge", "--older-than", "0s", "--audio", "--yes", "--json"))

    assert asked.exit_code == 0
    assert asked.stdout.splitlines() == [
        "would remove 2 tasks, 2 generations, 2 files",
        "Nothing was removed: this needs --yes.",
    ]
    assert (still["dry_run"], still["blobs"]) == (True, 2)
    assert (done["dry_run"], done["tasks"], done["blobs"], done["done"]) == (False, 2, 2, True)


@pytest.mark.usefixtures("_lived")
def test_an_owner_needs_a_yes(ttsorch_command: Command, provider: FakeJobProvider) -> None:
    """Then all goes, and what is under way is cancelled; a second time finds nothing."""
    asked = ttsorch_command("purge", "--owner", LOCAL_OWNER)
    done = record(ttsorch_command("purge", "--owner", LOCAL_OWNER, "--yes", "--json"))
    again = ttsorch_command("purge", "--owner", LOCAL_OWNER, "--yes")

    assert asked.stdout.splitlines() == [
        "would remove 2 tasks, 2 generations, 2 files; 1 tasks, 0 files would have to wait",
        "Nothing was removed: this needs --yes.",
    ]
    assert (done["tasks"], done["generations"], done["blobs"]) == (3, 3, 2)
    assert provider.ledger.cancels == ["job-3"]
    assert (again.exit_code, again.stdout) == (0, "removed nothing\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "either --older-than or --owner"),
        (("--older-than", "1d", "--owner", "anna"), "either --older-than or --owner"),
        (("--older-than", "30"), "a number and a unit"),
        (("--older-than", "-1d"), "a number and a unit"),
        (("--older-than", "999999999w"), "not more than a hundred years"),
        (("--owner", "anna", "--audio"), "--audio goes with --older-than"),
        (("--older-than", "1d", "--abandon-owed"), "--abandon-owed goes with --owner"),
        (("--owner", "anna", "--yes", "--dry-run"), "contradict"),
    ],
)
def test_what_makes_no_sense_is_refused(
    ttsorch_command: Command, provider: FakeJobProvider, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 2, before anything is opened or removed."""
    result = ttsorch_command("purge", *arguments)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_purge_goes_on_page_by_page(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until there is no more; what all pages removed is added up."""
    pages = [PurgeReport(tasks=500, effects=2, more=True), PurgeReport(tasks=7, blobs=1)]
    ages: list[float] = []

    async def purge(tts: Orchestrator, *, older_than: float, **options: object) -> PurgeReport:
        ages.append(older_than)
        return pages.pop(0)

    monkeypatch.setattr(Orchestrator, "purge", purge)
    result = ttsorch_command("purge", "--older-than", "2w")

    assert result.stdout == "removed 507 tasks, 2 effects, 1 files\n"
    assert ages == [14 * 86_400.0] * 2


def test_what_has_to_wait_shows_to_cron(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: run it again."""

    async def purge_owner(tts: Orchestrator, owner: str, **options: object) -> PurgeReport:
        assert options["abandon_owed"] is True
        return PurgeReport(voices=1, tasks_left=2)

    monkeypatch.setattr(Orchestrator, "purge_owner", purge_owner)
    result = ttsorch_command("purge", "--owner", "anna", "--yes", "--abandon-owed")

    assert result.exit_code == 1
    assert result.stdout == "removed 1 voices; 2 tasks, 0 files have to wait: run it again\n"


def test_a_purge_can_be_stopped(
    ttsorch_command: Command, provider: FakeJobProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two pages or in one; it can be run again."""

    async def purge(tts: Orchestrator, **options: object) -> PurgeReport:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(Orchestrator, "purge", purge)

    assert ttsorch_command("purge", "--older-than", "1d").exit_code == 130


def test_a_dry_run_counts_up_to_a_limit() -> None:
    """And says so."""
    assert purge_words(PurgeReport(tasks=10_000, more=True), dry_run=True) == (
        "would remove at least 10,000 tasks"
    )
