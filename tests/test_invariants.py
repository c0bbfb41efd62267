"""The invariant checks themselves: each one notices what it is there for."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from ttsorch import states
from ttsorch.errors import Category
from ttsorch.models import ErrorInfo, Generation, Job, Phase, Policy, StoredAudio, TaskKind
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.fakes import FakeJobProvider, MadeVoice
from ttsorch.testing.invariants import check_blobs, check_ledger, check_rows, check_step
from ttsorch.testing.speech import a_voice

NOW = ManualClock()()
ERROR = ErrorInfo(Category.TIMEOUT, "late", "Too late.")
AUDIO = StoredAudio("a/b/1.wav", 1, "0" * 64, "audio/wav", 1.0)


def a_job() -> Job:
    task = states.new_task(
        id="t",
        owner="o",
        provider="fake",
        voice=a_voice(),
        characters=1,
        now=NOW,
        policy=Policy(),
        generation_id="g",
    )
    generation = Generation("g", "o", "t", "v", "Anna", "Hi", "Auto", NOW)
    return Job(task, states.reflect(generation, task))


def with_task(job: Job, **changes: object) -> Job:
    """The job with a changed task, and the generation that belongs to it."""
    task = replace(job.task, **changes)  # type: ignore[arg-type]  # any field, by name
    assert job.generation is not None
    return Job(task, states.reflect(job.generation, task))


def completed() -> Job:
    return with_task(
        a_job(), phase=Phase.COMPLETED, audio=AUDIO, completed_at=NOW, next_action_at=None
    )


def a_clone(key: str = AUDIO.key) -> Job:
    """A finished clone, which has no generation, and whose voice's recording is ``key``."""
    task = replace(
        completed().task,
        kind=TaskKind.CLONE,
        generation_id=None,
        voice=replace(a_voice(), reference_audio_key=key),
    )
    return Job(task, None)


def broken(**changes: object) -> Job:
    return with_task(completed(), **changes)


def test_sound_rows_pass() -> None:
    """An active job, a finished one, one whose generation was deleted, and a clone."""
    for job in (a_job(), completed(), replace(completed(), generation=None), a_clone()):
        check_rows(job)
        check_step(job, job)


@pytest.mark.parametrize(
    "job",
    [
        replace(a_job(), generation=completed().generation),
        broken(audio=None),
        broken(next_action_at=NOW),
        broken(completed_at=None),
        broken(submitted_at=NOW + timedelta(seconds=1)),
        broken(lease_until=NOW),
        with_task(completed(), phase=Phase.FAILED, audio=None, error=None),
        with_task(a_job(), next_action_at=None),
        broken(envelope={"url": "u"}),
        a_clone("a/b/2.wav"),
    ],
    ids=[
        "disagreement",
        "no audio",
        "still due",
        "no end",
        "disorder",
        "lease",
        "no error",
        "lost",
        "envelope",
        "another clip",
    ],
)
def test_unsound_rows_are_noticed(job: Job) -> None:
    """Each broken in one way."""
    with pytest.raises(AssertionError):
        check_rows(job)


@pytest.mark.parametrize(
    "after",
    [
        broken(phase=Phase.CANCELLED),
        broken(audio=None),
        broken(version=0),
        broken(fence=-1),
        broken(poll_count=-1),
        broken(poll_count=1),
        broken(error=ERROR),
    ],
)
def test_a_terminal_row_that_changes_is_noticed(after: Job) -> None:
    """Whatever changes, and any counter that runs backwards."""
    with pytest.raises(AssertionError):
        check_step(completed(), after)


def ledger_says(accepted: int, **changes: object) -> None:
    provider = FakeJobProvider()
    provider.ledger.accepted = ["t"] * accepted
    check_ledger(with_task(a_job(), **changes), provider)


def test_bills_that_are_in_order_pass() -> None:
    """Nothing paid; one job on the row; two where policy allowed it; one that is known to be open."""
    ledger_says(0)
    ledger_says(1, attempts=1, ticket={"id": "1"})
    ledger_says(2, attempts=2, resubmits=1, ticket={"id": "2"})
    ledger_says(2, attempts=2, resubmits=1, outcome_open=True)
    ledger_says(1, attempts=1, outcome_open=True)


@pytest.mark.parametrize(
    ("accepted", "changes"),
    [
        (2, {"attempts": 2, "ticket": {"id": "1"}}),
        (1, {"attempts": 0, "ticket": {"id": "1"}}),
        (1, {"attempts": 1}),
        (1, {"attempts": 2, "resubmits": 1}),
    ],
    ids=["paid twice", "no attempt committed", "on no row", "lost after a resubmit"],
)
def test_a_bill_that_is_not_in_order_is_noticed(accepted: int, changes: dict[str, object]) -> None:
    """The ledger is the vendor's word against ours."""
    with pytest.raises(AssertionError):
        ledger_says(accepted, **changes)


def voices_say(*made: str, on_row: str | None, **changes: object) -> None:
    """The vendor made the voices ``made``; the row knows ``on_row``."""
    provider = FakeCastingProvider()
    provider.ledger.accepted = ["t"] * len(made)
    provider.ledger.voices = [MadeVoice("clone", "t", each) for each in made]
    provider.ledger.voices.append(MadeVoice("clone", "other", "v-9"))
    voice = replace(a_voice(), provider_voice_id=on_row)
    told: dict[str, object] = {"attempts": len(made), "receipt": {"request_id": "r"}}
    check_ledger(with_task(a_job(), voice=voice, **told | changes), provider)


def test_voices_that_are_accounted_for_pass() -> None:
    """On the row, known to be open, still coming by ticket, or made once more by policy."""
    voices_say("v-1", on_row="v-1")
    voices_say("v-1", on_row=None, receipt=None, outcome_open=True)
    voices_say("v-1", on_row=None, receipt=None, ticket={"id": "1"})
    voices_say("v-1", "v-2", on_row="v-2", resubmits=1)


@pytest.mark.parametrize("on_row", [None, "v-9"])
@pytest.mark.parametrize("resubmits", [0, 1])
def test_a_voice_that_is_on_no_row_is_noticed(on_row: str | None, resubmits: int) -> None:
    """It was paid for, and nobody knows of it."""
    with pytest.raises(AssertionError, match="a voice is on no row"):
        voices_say("v-1", on_row=on_row, resubmits=resubmits)


def test_a_bill_that_is_on_no_row_is_noticed() -> None:
    """The voice is there; what it cost can't be asked about."""
    with pytest.raises(AssertionError, match="a bill is on no row"):
        voices_say("v-1", on_row="v-1", receipt=None)


@pytest.mark.parametrize("job", [completed(), a_clone()], ids=["generate", "clone"])
@pytest.mark.parametrize("stored", [None, b"", b"x"], ids=["missing", "short", "other bytes"])
def test_a_row_that_names_something_else_than_its_blob_is_noticed(
    stored: bytes | None, job: Job
) -> None:
    """Missing, of another length, of another hash."""

    async def check() -> None:
        blobs = MemoryBlobStore()
        if stored is not None:
            await blobs.put(AUDIO.key, one_chunk(stored), "audio/wav")
        with pytest.raises(AssertionError):
            await check_blobs([job], blobs)
        await check_blobs([a_job(), replace(completed(), generation=None)], blobs)

    anyio.run(check)


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data
