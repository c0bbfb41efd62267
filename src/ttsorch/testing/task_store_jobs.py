"""Jobs for the task store's suites, moved only by :mod:`ttsorch.states`: never a row that can't exist.

At the end, the few things that every suite does to a store.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import anyio

from ttsorch.errors import Category
from ttsorch.models import (
    ErrorInfo,
    Generation,
    Job,
    JsonValue,
    Phase,
    Policy,
    ProviderVoice,
    StoredAudio,
    TaskKind,
    Voice,
)
from ttsorch.protocols import TaskStore
from ttsorch.states import (
    CancelRequested,
    Event,
    ResultReady,
    Stored,
    StoreStarted,
    SubmitAccepted,
    SubmitLost,
    SubmitStarted,
    advance,
    new_task,
    reflect,
)

Result = TypeVar("Result")
#: Makes the database's clock move by so many seconds.
Advance = Callable[[float], Awaitable[None]]
#: The job after one event, or several.
Move = Callable[[Job, datetime], Job]

ANNA = "anna"
BEN = "ben"
VOICE = Voice(id="voice-1", name="Anna", tts_provider="fake", language="en")
CANCELLED = ErrorInfo(category=Category.CANCELLED, code="cancelled", message="Cancelled by user")
LOST = ErrorInfo(category=Category.TIMEOUT, code="provider_timeout", message="No answer")


def new_job(
    now: datetime,
    *,
    owner: str = ANNA,
    id: str | None = None,
    generation_id: str | None = None,
    text: str = "Hello.",
    voice: Voice = VOICE,
    options: Mapping[str, JsonValue] | None = None,
    idempotency_key: str | None = None,
) -> Job:
    """A queued job that is due at once."""
    task_id = id or str(uuid.uuid4())
    generation_id = generation_id or str(uuid.uuid4())
    task = new_task(
        id=task_id,
        owner=owner,
        provider="fake",
        voice=voice,
        characters=len(text),
        now=now,
        policy=Policy(),
        generation_id=generation_id,
        options=options,
        idempotency_key=idempotency_key,
        payload_hash="hash-of-the-payload",
    )
    generation = Generation(
        id=generation_id,
        owner=owner,
        task_id=task_id,
        voice_id=voice.id,
        voice_name=voice.name,
        text=text,
        language="en",
        created_at=now,
    )
    return Job(task, generation)


def new_preview(now: datetime, *, owner: str = ANNA) -> Job:
    """A queued job without a generation, as a voice design has."""
    task = replace(new_job(now, owner=owner).task, kind=TaskKind.DESIGN_PREVIEW, generation_id=None)
    return Job(task, None)


def new_clone(now: datetime, *, owner: str = ANNA, voice_id: str | None = None) -> Job:
    """A queued job that makes a voice of a recording, whose key its voice names."""
    voice = replace(VOICE, id=voice_id or str(uuid.uuid4()), owner=owner)
    voice = replace(voice, reference_audio_key=f"{owner}/{voice.id}/clip.wav")
    task = replace(
        new_job(now, owner=owner, voice=voice).task, kind=TaskKind.CLONE, generation_id=None
    )
    return Job(task, None)


def moved(job: Job, now: datetime, *events: Event) -> Job:
    """The job after ``events``, its generation in step."""
    task = job.task
    for event in events:
        task = advance(task, event, now)
    return Job(task, reflect(job.generation, task) if job.generation else None)


def started(job: Job, now: datetime) -> Job:
    return moved(job, now, SubmitStarted(word="provider_submitting"))


def running(job: Job, now: datetime) -> Job:
    accepted = SubmitAccepted(ticket={"job": f"job of {job.task.id}"}, check_at=now)
    return moved(started(job, now), now, accepted)


def ready(job: Job, now: datetime) -> Job:
    envelope: dict[str, JsonValue] = {"url": "https://vendor.example/1", "parts": [1, 2.5, None]}
    expires_at = now + timedelta(hours=1, microseconds=1)
    return moved(running(job, now), now, ResultReady(envelope=envelope, expires_at=expires_at))


def completed(job: Job, now: datetime) -> Job:
    audio = StoredAudio(
        key=audio_key(job), size=1234, sha256="ab" * 32, content_type="audio/wav", duration=1.25
    )
    return moved(ready(job, now), now, StoreStarted(), Stored(audio=audio))


def voice_made(job: Job, now: datetime) -> Job:
    """A clone whose provider answered with the voice that it made."""
    made = ResultReady(envelope={}, voice=ProviderVoice(id="made"), receipt={"request_id": "r-1"})
    return moved(started(job, now), now, made)


def cancelled(job: Job, now: datetime) -> Job:
    return moved(job, now, CancelRequested(error=CANCELLED))


def owing(job: Job, now: datetime) -> Job:
    """Cancelled while its provider works on it, and the provider doesn't know yet."""
    return cancelled(running(job, now), now)


def unanswered(job: Job, now: datetime) -> Job:
    """Submitted, and the answer never came."""
    lost = SubmitLost(error=LOST, resolve_by=now + timedelta(minutes=2))
    return moved(started(job, now), now, lost)


def audio_key(job: Job) -> str:
    return f"{job.task.owner}/{job.task.generation_id or job.task.id}/1.wav"


def generation_of(job: Job) -> Generation:
    """The job's generation, where there must be one."""
    assert job.generation is not None
    return job.generation


def ids(jobs: Sequence[Job]) -> list[str]:
    return [job.task.id for job in jobs]


# --- with a store -------------------------------------------------------------------------------------


async def stored(store: TaskStore, job: Job, move: Move | None = None) -> Job:
    """Create the job, and write what ``move`` makes of it."""
    await store.create(job.task, job.generation)
    if move is None:
        return job
    later = move(job, store.now())
    assert await store.replace(later.task, later.generation, expected_version=job.task.version)
    return later


async def claimed(store: TaskStore, job: Job, lease_seconds: float = 60) -> Job | None:
    """Try to take the lease: of a queued job to submit it, of another to store its result."""
    queued = job.task.phase is Phase.QUEUED
    event = SubmitStarted(word="provider_submitting") if queued else StoreStarted()
    begun = moved(job, store.now(), event)
    task = await store.claim(
        begun.task,
        begun.generation,
        expected_version=job.task.version,
        lease_seconds=lease_seconds,
    )
    return None if task is None else Job(task, begun.generation)


async def leased(store: TaskStore, lease_seconds: float = 60) -> Job:
    """A new job, stored and claimed."""
    job = await claimed(store, await stored(store, new_job(store.now())), lease_seconds)
    assert job is not None
    return job


async def race(call: Callable[[int], Awaitable[Result]], times: int) -> list[Result]:
    """Make ``call(0)``, ``call(1)``, ... all at once; their results in that order."""
    results: dict[int, Result] = {}

    async def make(number: int) -> None:
        results[number] = await call(number)

    async with anyio.create_task_group() as tasks:
        for number in range(times):
            tasks.start_soon(make, number)
    return [results[number] for number in range(times)]
