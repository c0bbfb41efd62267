"""What must hold whatever happened: the invariants of the design, read from rows, blobs and the ledger.

Each check reads the provider's own ledger where money is concerned, never our rows alone.
"""

import hashlib
from collections.abc import Sequence

from ttsorch import states
from ttsorch.errors import BlobNotFound
from ttsorch.models import Generation, Job, Phase, Status, StoredAudio, Task, TaskKind
from ttsorch.protocols import BlobStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider


def check_rows(job: Job) -> None:
    """I1 (task and generation agree), I3 (completed exactly if the audio is set, which is a clone's own
    recording), I15 and I20 (somebody will look again; times are in order)."""
    task, generation = job.task, job.generation
    if generation is not None:
        assert generation == states.reflect(generation, task), _disagreement(task, generation)
    assert (task.status is Status.COMPLETED) == (task.audio is not None)
    assert (task.next_action_at is not None) == (not task.status.terminal or task.cancel_owed)
    assert (task.completed_at is not None) == task.status.terminal
    times = [task.created_at, task.submitted_at, task.completed_at, task.updated_at]
    known = [time for time in times if time is not None]
    assert known == sorted(known), f"times out of order: {known}"
    if task.status is Status.FAILED:
        assert task.error is not None
    if task.lease_until is not None:
        assert task.phase in (Phase.SUBMITTING, Phase.STORING)
    assert task.envelope is None or not task.status.terminal, "a URL outlived its task"
    if task.kind is TaskKind.CLONE and task.audio is not None:
        assert task.audio.key == task.voice.reference_audio_key


def _disagreement(task: Task, generation: Generation) -> str:
    return f"task is {task.status}, generation is {generation.status}"


def check_step(before: Job, after: Job) -> None:
    """I2, I8 (a terminal row never changes, but for what is owed to the provider) and I11 (tokens and
    counters only grow)."""
    old, new = before.task, after.task
    assert new.version >= old.version
    assert new.fence >= old.fence
    assert new.poll_count >= old.poll_count
    if not old.status.terminal:
        return
    assert (new.phase, new.audio, new.error, new.completed_at, new.poll_count) == (
        old.phase,
        old.audio,
        old.error,
        old.completed_at,
        old.poll_count,
    )


def check_ledger(job: Job, provider: FakeJobProvider | FakeDirectProvider) -> None:
    """I5 (accepted at most once, plus what policy allowed), I6 (every accepted job, and every voice that
    was made, is on the row with its receipt, or listed as unknown; of several, one) and I7 (no call without
    a committed attempt)."""
    task, ledger = job.task, provider.ledger
    accepted = ledger.accepted_for(task.id)
    assert accepted <= 1 + task.resubmits, f"{accepted} jobs were paid for"
    assert accepted <= task.attempts
    if accepted and isinstance(provider, FakeJobProvider):
        assert task.ticket is not None or task.outcome_open, "an accepted job is on no row"
    made = [voice.id for voice in ledger.voices if voice.key == task.id]
    if made and task.ticket is None and not task.outcome_open:
        assert task.voice.provider_voice_id in made, "a voice is on no row"
        assert task.receipt is not None, "a bill is on no row"


async def check_blobs(jobs: Sequence[Job], blobs: BlobStore) -> None:
    """I3 and I4: what a row names exists, with the row's length and hash."""
    for job in jobs:
        audio = job.task.audio
        if audio is None or (job.task.generation_id and job.generation is None):
            continue
        await _check_audio(audio, blobs)


async def check_history(generations: Sequence[Generation], blobs: BlobStore) -> None:
    """The same of generations, whose tasks may be gone."""
    for generation in generations:
        assert (generation.status is Status.COMPLETED) == (generation.audio is not None)
        if generation.audio is not None:
            await _check_audio(generation.audio, blobs)


async def _check_audio(audio: StoredAudio, blobs: BlobStore) -> None:
    try:
        async with blobs.open(audio.key) as blob:
            stored = b"".join([chunk async for chunk in blob.chunks])
    except BlobNotFound:
        raise AssertionError("a published blob is missing") from None
    assert len(stored) == audio.size
    assert hashlib.sha256(stored).hexdigest() == audio.sha256
