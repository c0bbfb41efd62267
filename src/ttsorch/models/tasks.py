"""The rows of a job, and what is told of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ttsorch.models.failures import ErrorInfo
from ttsorch.models.json_values import Envelope, JsonValue, Ticket
from ttsorch.models.phases import Phase, Status, TaskKind
from ttsorch.models.speech import Voice


@dataclass(frozen=True, slots=True)
class StoredAudio:
    """Audio in our own blob store. ``size`` is in bytes, ``duration`` in seconds of sound."""

    key: str
    size: int
    sha256: str
    content_type: str
    duration: float


@dataclass(frozen=True, slots=True)
class Task:
    """The durable job. Only :func:`ttsorch.states.advance` makes the next one from this one.

    ``version`` grows by one with every transition and is what compare-and-set compares. ``fence`` is the
    fencing token: a store raises it with every lease it grants. ``next_action_at`` is when somebody
    should look at this task again although nobody polls; None when nothing is owed. ``poll_count``,
    ``lease_until`` and ``next_action_at`` may change without a new ``version``. ``outcome_open`` says that
    a call left for the provider and we don't know its answer (yet, or for good). ``doubted_at`` is when the
    provider first reported a failure that it has to report once more. The envelope, which may
    hold a signed URL, is forgotten when the task ends; the receipt stays.
    """

    id: str
    owner: str
    provider: str
    voice: Voice
    characters: int
    created_at: datetime
    updated_at: datetime
    accept_by: datetime
    finish_by: datetime
    kind: TaskKind = TaskKind.GENERATE
    generation_id: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    idempotency_key: str | None = None
    payload_hash: str | None = None
    phase: Phase = Phase.QUEUED
    version: int = 1
    fence: int = 0
    lease_until: datetime | None = None
    next_action_at: datetime | None = None
    attempts: int = 0
    resubmits: int = 0
    outcome_open: bool = False
    finalize_attempts: int = 0
    poll_count: int = 0
    ticket: Ticket | None = field(default=None, repr=False)
    envelope: Envelope | None = field(default=None, repr=False)
    result_expires_at: datetime | None = None
    receipt: Mapping[str, JsonValue] | None = None
    word: str | None = None
    elapsed: float | None = None
    progress: float | None = None
    doubted_at: datetime | None = None
    error: ErrorInfo | None = None
    audio: StoredAudio | None = None
    cancel_owed: bool = False
    cancel_attempts: int = 0
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def status(self) -> Status:
        return self.phase.status


@dataclass(frozen=True, slots=True)
class Generation:
    """One line of a user's history: the projection of its task, kept when the task is deleted."""

    id: str
    owner: str
    task_id: str
    voice_id: str
    voice_name: str
    text: str = field(repr=False)
    language: str
    created_at: datetime
    status: Status = Status.PENDING
    audio: StoredAudio | None = None
    error_message: str | None = None
    completed_at: datetime | None = None

    @property
    def generation_time_seconds(self) -> float | None:
        if self.completed_at is None:
            return None
        return (self.completed_at - self.created_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Job:
    """A task with its generation; ``generation`` is None when there is none or its user deleted it."""

    task: Task
    generation: Generation | None


@dataclass(frozen=True, slots=True)
class Transition:
    """What a :class:`~ttsorch.protocols.Listener` hears of, after the commit."""

    before: Phase | None
    job: Job
