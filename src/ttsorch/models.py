"""The records that everything else passes around: frozen, plain, and without behaviour of their own.

A *task* is the durable job; a *generation* is what the user's history shows. They are written together,
always, as a :class:`Job`. A provider only ever sees :class:`SpeechRequest` and :class:`Attempt`.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from ttsorch.errors import (
    Category,
    ConfigurationError,
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    TaskCancelled,
    TtsorchError,
)

JsonValue: TypeAlias = (
    "bool | int | float | str | list[JsonValue] | tuple[JsonValue, ...]"
    " | Mapping[str, JsonValue] | None"
)

#: What a provider gives for an accepted job: opaque to us, JSON, owned by the provider.
Ticket: TypeAlias = Mapping[str, JsonValue]
#: What a provider gives for a finished result: opaque to us, JSON, owned by the provider.
Envelope: TypeAlias = Mapping[str, JsonValue]

#: Returns the current time, timezone-aware, in UTC.
Clock: TypeAlias = Callable[[], datetime]

Item = TypeVar("Item", covariant=True)


# --- states -------------------------------------------------------------------------------------------


class Status(StrEnum):
    """What a v1 client sees."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Phase(StrEnum):
    """Where a task really is; :mod:`ttsorch.states` says how it moves."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    SUBMIT_UNKNOWN = "submit_unknown"
    RUNNING = "running"
    READY = "ready"
    STORING = "storing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def status(self) -> Status:
        return _STATUS_OF[self]


# Looked up and not worked out: it is asked for ten times in a poll.
_STATUS_OF: Mapping[Phase, Status] = {
    Phase.QUEUED: Status.PENDING,
    Phase.SUBMITTING: Status.PROCESSING,
    Phase.SUBMIT_UNKNOWN: Status.PROCESSING,
    Phase.RUNNING: Status.PROCESSING,
    Phase.READY: Status.PROCESSING,
    Phase.STORING: Status.PROCESSING,
    Phase.COMPLETED: Status.COMPLETED,
    Phase.FAILED: Status.FAILED,
    Phase.CANCELLED: Status.CANCELLED,
}


class TaskKind(StrEnum):
    """The ``type`` of a task in the v1 contract."""

    GENERATE = "generate"
    DESIGN_PREVIEW = "design_preview"
    CLONE = "clone"


# --- voices and requests ------------------------------------------------------------------------------


class VoiceSource(StrEnum):
    """Where a voice came from (contract R11)."""

    UPLOADED = "uploaded"
    DESIGNED = "designed"
    BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of an owner, or a built-in voice of a provider (then ``owner`` is None).

    The ``provider_*`` fields bind it to one provider, and where the vendor wants it, to one model.
    """

    id: str
    name: str
    tts_provider: str
    owner: str | None = None
    source: VoiceSource = VoiceSource.BUILTIN
    language: str = "Auto"
    description: str | None = field(default=None, repr=False)
    reference_transcript: str | None = field(default=None, repr=False)
    reference_audio_key: str | None = None
    provider_voice_id: str | None = None
    provider_target_model: str | None = None
    provider_voice_kind: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of the voice that is to be spoken with. Its content type is what its bytes are."""

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class ProviderVoice:
    """How a provider knows a voice that it made: by ``id``, and only for ``target_model``. ``kind`` is
    the provider's own word for how it was made."""

    id: str
    target_model: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What should be said. ``options`` go to the provider as they are (rate, pitch, vendor knobs).

    ``clip`` is the voice's reference recording, read from the blob store for a provider whose
    ``capabilities.sends_clip`` is set; whoever calls the orchestrator leaves it alone.
    """

    text: str = field(repr=False)
    voice: Voice
    language: str = "Auto"
    options: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    clip: Clip | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand a task to a provider, committed to the database before the call leaves.

    ``key`` is the same for every attempt of a task: it serves as idempotency key or look-up reference
    where a vendor knows such a thing. ``number`` counts from 1.
    """

    key: str
    number: int = 1


# --- what a provider answers --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioStream:
    """Audio on its way in. ``length`` is in bytes, None when the sender didn't say."""

    chunks: AsyncIterator[bytes]
    content_type: str | None = None
    length: int | None = None


#: Audio that is opened when somebody is ready to read it, and closed after.
AudioSource: TypeAlias = AbstractAsyncContextManager[AudioStream]


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """A failure as it is stored on a row and shown to a client.

    ``message`` is safe to show; ``detail`` is for the operator. ``retry_after`` is in seconds. ``ambiguous``
    and ``started`` are those of :class:`~ttsorch.errors.ProviderError`.
    """

    category: Category
    code: str
    message: str
    detail: str | None = None
    retryable: bool = False
    retry_after: float | None = None
    provider_code: str | None = None
    request_id: str | None = None
    ambiguous: bool = False
    started: bool = False

    @classmethod
    def of(cls, error: TtsorchError) -> "ErrorInfo":
        info = cls(
            category=error.category,
            code=error.code,
            message=error.message,
            detail=error.detail,
            retry_after=error.retry_after,
        )
        if not isinstance(error, ProviderError):
            return info
        return replace(
            info,
            retryable=error.retryable,
            provider_code=error.provider_code,
            request_id=error.request_id,
            ambiguous=error.ambiguous,
            started=error.started,
        )

    def as_error(self) -> TtsorchError:
        """What to raise when the failure on a row is the answer to a call."""
        if self.category is Category.CANCELLED:
            return TaskCancelled(self.message, code=self.code, detail=self.detail)
        return _RAISED[self.category](
            self.message,
            code=self.code,
            detail=self.detail,
            retryable=self.retryable,
            # What may be paid again isn't for a proxy to repeat.
            retry_after=None if self.started or self.ambiguous else self.retry_after,
            http_status=502 if self.started or self.ambiguous else None,
            provider_code=self.provider_code,
            request_id=self.request_id,
            ambiguous=self.ambiguous,
            started=self.started,
        )


_RAISED: Mapping[Category, type[ProviderError]] = {
    Category.VALIDATION: ProviderInvalid,
    Category.PROVIDER_UNAVAILABLE: ProviderUnavailable,
    Category.PROVIDER_REJECTED: ProviderRejected,
    Category.TIMEOUT: ProviderTimeout,
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the job; ``ticket`` is how we ask about it."""

    ticket: Ticket = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ready:
    """The speech exists. Either ``envelope`` says how to fetch it, as often as needed, or ``audio``
    holds it already and can be read once; with both, ``audio`` is the shortcut and ``envelope`` the
    way back after a crash.

    ``voice`` is the voice that this call made, if it was asked to make one. ``receipt`` is what the
    provider says about its bill (request id, usage), kept on the row for good: it holds no secret.
    ``expires_at`` without a time zone is taken as UTC: what was paid for is not lost over that.
    """

    envelope: Envelope | None = field(default=None, repr=False)
    audio: AudioSource | None = None
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            object.__setattr__(self, "expires_at", self.expires_at.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Running:
    """The provider is at it. ``word`` is its own word for that; ``elapsed`` and ``check_after`` are in
    seconds, ``progress`` runs from 0 to 1."""

    word: str = "running"
    elapsed: float | None = None
    progress: float | None = None
    queue_position: int | None = None
    check_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider says that the job failed for good. ``doubtful``: it says the same when it only could
    not look, so it has to say it again some seconds later before it is believed."""

    error: ErrorInfo
    doubtful: bool = False


SubmitResult: TypeAlias = Accepted | Ready
CheckResult: TypeAlias = Running | Ready | Failed


class CancelOutcome(StrEnum):
    """What became of a request to cancel. After ``REQUESTED`` the job may still end either way."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    TOO_LATE = "too_late"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"


# --- capabilities -------------------------------------------------------------------------------------


class Idempotency(StrEnum):
    """How a provider lets us ask twice without paying twice, if it does."""

    NONE = "none"
    CLIENT_ID = "client_id"
    HEADER_KEY = "header_key"
    FIND_BY_REFERENCE = "find_by_reference"


class OnUnknown(StrEnum):
    """What to do when nobody can tell whether a submit was accepted."""

    FAIL = "fail"
    RESUBMIT = "resubmit"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do, as data. ``max_text_chars`` counts UTF-16 code units (contract C9),
    ``result_lifetime`` is in seconds, an empty ``languages`` accepts any.

    ``cloning`` and ``design`` say that voices can be made from a recording and from a description.
    ``sends_clip``: a voice is its recording and transcript, sent along with every request.
    ``clip_formats`` are the extensions of the recordings it takes; empty for any that we know.
    """

    max_text_chars: int
    direct: bool = False
    can_cancel: bool = False
    idempotency: Idempotency = Idempotency.NONE
    on_unknown: OnUnknown = OnUnknown.FAIL
    languages: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("wav",)
    sample_rates: tuple[int, ...] = ()
    cloning: bool = False
    sends_clip: bool = False
    clip_formats: tuple[str, ...] = ()
    design: bool = False
    result_lifetime: float | None = None
    webhook: str | None = None
    supports_generate: bool = True
    supports_generate_stream: bool = False
    default_generate_mode: str = "task"
    allow_generate_mode_toggle: bool = False


# --- rows ---------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in, by all workers over one store together; None for no limit.

    ``active_per_owner`` counts tasks that have not ended, ``submits_per_minute`` those that an owner began
    within the last 60 seconds, ``in_flight_per_provider`` what all owners have under way at one provider.
    Clones are neither counted nor refused: each is asked for by a person who waits for it.

    Raises:
        ConfigurationError: a limit is less than 1, and so would take nothing in.
    """

    active_per_owner: int | None = None
    submits_per_minute: int | None = None
    in_flight_per_provider: int | None = None

    def __post_init__(self) -> None:
        for most in (self.active_per_owner, self.submits_per_minute, self.in_flight_per_provider):
            if most is not None and most < 1:
                raise ConfigurationError("A limit must be at least 1; None is for no limit.")


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Pause:
    """Until ``until`` nothing new is sent to ``provider``, by any worker over the store: the vendor asked for
    that, or an operator. ``reason`` is the code of the vendor's answer."""

    provider: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class StuckTask:
    """For operators: a task that no step has taken further, ``failures`` times in a row, or whose row can't
    be read. Only what a broken row still tells: ``kind`` and ``phase`` are what it holds, known or not.

    ``reason`` is what it failed with: the name of an exception, ``provider_not_configured`` or
    ``unreadable``. It is tried again at ``next_action_at``.
    """

    id: str
    owner: str
    provider: str
    kind: str
    phase: str
    failures: int
    reason: str
    next_action_at: datetime | None


class EffectState(StrEnum):
    """How far an effect has come."""

    OWED = "owed"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a host owes the world because a task ended (to charge, to refund, to notify): written with the
    transition that ended it, in the same transaction, and told to every
    :class:`~ttsorch.protocols.EffectListener` at least once.

    ``key`` is the same every time: what a listener remembers, so as to do its work once. ``told`` are the
    names of those who know it already; ``due_at`` is when the others are told next, None when that is over.
    ``error`` is the code of the last trouble.
    """

    key: str
    owner: str
    task_id: str
    status: Status
    created_at: datetime
    due_at: datetime | None
    state: EffectState = EffectState.OWED
    attempts: int = 0
    told: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """What one call to a store's purge removed, or with ``dry_run`` would have removed.

    ``keys`` are those of the blobs that the removed rows named; other rows may still name them. ``more``: a
    limit was reached, so that another call may find more. ``kept`` counts the owner's tasks that could not
    go, because they are active or owe somebody something; a purge by age leaves such tasks uncounted.
    """

    tasks: int = 0
    generations: int = 0
    voices: int = 0
    effects: int = 0
    keys: tuple[str, ...] = ()
    more: bool = False
    kept: int = 0

    @property
    def rows(self) -> int:
        return self.tasks + self.generations + self.voices + self.effects


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge removed, or in a dry run would have removed.

    ``more``: there may be more to remove now; call again. ``tasks_left`` and ``blobs_left``, of a purge of
    an owner, count what could not go yet: tasks that are active again or owe somebody something, and blobs
    that are too young to be told from those of a call under way; call again later.
    """

    tasks: int = 0
    generations: int = 0
    voices: int = 0
    effects: int = 0
    blobs: int = 0
    more: bool = False
    tasks_left: int = 0
    blobs_left: int = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing left to come back for."""
        return not (self.more or self.tasks_left or self.blobs_left)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a listing, newest first (contract C8). ``page`` counts from 1."""

    items: tuple[Item, ...]
    page: int
    per_page: int
    total: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A stored blob. ``size`` is in bytes."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class BlobStream:
    """A blob, or a range of one, being read. ``size`` is that of the whole blob, in bytes."""

    chunks: AsyncIterator[bytes]
    size: int
    content_type: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Every number the orchestrator goes by. All times are in seconds.

    A task must be accepted within ``accept_within`` and end within ``finish_within`` plus
    ``finish_per_character`` for each UTF-16 code unit of its text. A lease is renewed at a third of
    ``lease``, and its holder stops on its own once it could not renew for two thirds. A job provider's
    submit that certainly did not start is repeated for ``submit_retry`` at most; whoever repeats the request
    at another process waits for the same answer for ``answer_wait`` at most. A commit is given
    ``commit``, and ``insist`` if it records what a provider answered. A result is asked for up to
    ``max_finalize_attempts`` times, one that isn't valid audio ``max_bad_results`` times. ``concurrency``
    counts the direct syntheses of this process, ``clip_concurrency`` its calls that hold a recording,
    ``sweep_concurrency`` all other steps of its sweeps. A listener is given ``effect_call`` for an effect,
    and is told again after each of ``effect_waits``; after the last, we give up. (These are the waits that
    Standard Webhooks recommends: some three days in all.) What a vendor asks for stops its provider for
    ``longest_pause`` at most. A task that can't be taken further is tried again after ``lease``, then after
    twice as long each time, up to ``longest_hold``; its deadlines are kept all the same.
    """

    lease: float = 10.0
    accept_within: float = 900.0
    finish_within: float = 1800.0
    finish_per_character: float = 0.5
    unknown_grace: float = 120.0
    max_resubmits: int = 10
    submit_backoff: float = 1.0
    submit_retry: float = 5.0
    max_finalize_attempts: int = 20
    max_bad_results: int = 6
    finalize_backoff: float = 1.0
    max_cancel_attempts: int = 5
    cancel_backoff: float = 5.0
    check_interval: float = 5.0
    provider_call: float = 30.0
    answer_wait: float = 30.0
    max_audio_bytes: int = 512 * 1024 * 1024
    commit: float = 5.0
    insist: float = 30.0
    shutdown_grace: float = 5.0
    sweep_interval: float = 2.0
    sweep_batch: int = 50
    concurrency: int = 4
    clip_concurrency: int = 8
    sweep_concurrency: int = 16
    orphan_grace: float = 3600.0
    longest_pause: float = 3600.0
    longest_hold: float = 600.0
    effect_call: float = 30.0
    effect_waits: tuple[float, ...] = (
        5.0,
        300.0,
        1800.0,
        7200.0,
        18000.0,
        36000.0,
        50400.0,
        72000.0,
    )
