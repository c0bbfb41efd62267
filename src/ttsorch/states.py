"""Every legal transition of a task, and nothing else.

Two rules. Everything about transitions lives here: no other file decides one by looking at a phase. And
nothing here does I/O, reads a clock or makes an id: time and ids are arguments.

A task is handed to its provider (``queued`` → ``submitting``), is worked on (``running``), has a result
somewhere at the provider (``ready``), has it copied into our own storage (``storing``) and ends. The odd
one is ``submit_unknown``: the call left, its answer never came, and only the provider knows whether it
is working for us. :func:`advance` applies one event; an event that the table doesn't list raises
:class:`~ttsorch.errors.IllegalTransition` and changes nothing.

Terminal tasks never change again, but for what we still owe the provider: a ticket that arrives after the
end is kept beside it (:class:`TicketArrived`; :class:`AnswerArrived` for what had no ticket), the job is
cancelled there, and the debt is struck off (:class:`CancelSettled`, :class:`CancelDeferred`). None of these
moves the task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from ttsorch.errors import Category, IllegalTransition, ProviderTimeout
from ttsorch.models import (
    Envelope,
    ErrorInfo,
    Generation,
    JsonValue,
    Phase,
    Policy,
    ProviderVoice,
    StoredAudio,
    Task,
    TaskKind,
    Ticket,
    Voice,
)

#: The word for a provider that could not be asked (contract 4.2).
STATUS_ERROR = "status_error"

# --- events: each says what it changes beside the phase -----------------------------------------------


@dataclass(frozen=True, slots=True)
class SubmitStarted:
    """An attempt begins; committed before the call leaves. ``word`` is what clients are shown."""

    word: str

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            task,
            attempts=task.attempts + 1,
            outcome_open=True,
            word=self.word,
            error=None,
            submitted_at=task.submitted_at or now,
        )


@dataclass(frozen=True, slots=True)
class SubmitDeferred:
    """The call certainly never started at the provider; try again at ``retry_at``."""

    error: ErrorInfo
    retry_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, self.retry_at),
            outcome_open=_never_learned(task),
            word=None,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class SubmitLost:
    """The call may have been accepted, but no answer came; to be resolved until ``resolve_by``."""

    error: ErrorInfo
    resolve_by: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, now), accept_by=self.resolve_by, outcome_open=True, error=self.error
        )


@dataclass(frozen=True, slots=True)
class Resubmit:
    """The host's policy accepts the risk of asking a second time."""

    accept_by: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, now), resubmits=task.resubmits + 1, accept_by=self.accept_by, word=None
        )


@dataclass(frozen=True, slots=True)
class SubmitAccepted:
    """The provider took the job."""

    ticket: Ticket = field(repr=False)
    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, self.check_at),
            ticket=self.ticket,
            outcome_open=False,
            word=None,
            error=None,
        )


@dataclass(frozen=True, slots=True)
class ProgressMade:
    """The provider is at it and said something new."""

    word: str
    elapsed: float | None
    progress: float | None
    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            task,
            word=self.word,
            elapsed=self.elapsed,
            progress=self.progress,
            doubted_at=None,
            next_action_at=self.check_at,
        )


@dataclass(frozen=True, slots=True)
class CheckDeferred:
    """The provider would not be asked about the job, and said when to come back."""

    retry_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(task, word=STATUS_ERROR, next_action_at=self.retry_at)


@dataclass(frozen=True, slots=True)
class FailureDoubted:
    """The provider reports a failure as it also does when it only could not look; to be asked again."""

    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(task, doubted_at=now, next_action_at=self.check_at)


@dataclass(frozen=True, slots=True)
class ResultReady:
    """The provider is done, and ``envelope`` says where the result is."""

    envelope: Envelope = field(repr=False)
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(_bound(task, self.voice), now),
            envelope=self.envelope,
            result_expires_at=self.expires_at,
            receipt=_receipts(task, self.receipt),
            outcome_open=False,
            doubted_at=None,
            error=None,
        )


@dataclass(frozen=True, slots=True)
class StoreStarted:
    """The result is being copied: under a fresh lease, or by who just received it and holds one. An
    ``envelope`` that came with the bytes is the way back to them after a crash."""

    envelope: Envelope | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _bound(task, self.voice),
            outcome_open=False,
            envelope=self.envelope or task.envelope,
            result_expires_at=self.expires_at or task.result_expires_at,
            receipt=_receipts(task, self.receipt),
        )


@dataclass(frozen=True, slots=True)
class StoreDeferred:
    """The result could not be copied this time; try again at ``retry_at``."""

    error: ErrorInfo
    retry_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, self.retry_at),
            finalize_attempts=task.finalize_attempts + 1,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class ResultLost:
    """The envelope is stale, but asking again with the ticket may give a fresh one."""

    error: ErrorInfo
    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            _released(task, self.check_at),
            finalize_attempts=task.finalize_attempts + 1,
            envelope=None,
            result_expires_at=None,
            word=None,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The audio is in our own storage."""

    audio: StoredAudio

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(_ended(task, now, error=None), audio=self.audio)


@dataclass(frozen=True, slots=True)
class VoiceAdded:
    """The voice that the provider made of a recording is among its owner's voices; ``audio`` is that
    recording."""

    audio: StoredAudio

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(_ended(task, now, error=None), audio=self.audio)


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """No audio will come. ``still_open``: of some call we never learned what became of it. ``owing``: the
    provider may be working all the same."""

    error: ErrorInfo
    still_open: bool = False
    owing: bool = False

    def apply(self, task: Task, now: datetime) -> Task:
        still_open = self.still_open or _never_learned(task)
        ended = replace(_ended(task, now, error=self.error), outcome_open=still_open)
        return _owing(ended, now) if self.owing else ended


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """A deadline went by; which one follows from the phase. The provider may still be working."""

    def apply(self, task: Task, now: datetime) -> Task:
        error = _DEADLINE_ERRORS[task.phase]
        if task.phase is Phase.QUEUED and task.error is not None:
            # It was turned away again and again: that is what the user can do something about.
            error = replace(task.error, detail=f"{error.detail}; last: {task.error.detail}")
        elif task.error is not None:
            error = replace(error, detail=f"{error.detail}; last: {task.error.code}")
        return _owing(_given_up(task, now, error), now)


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user doesn't want it any more. The provider may still be working."""

    error: ErrorInfo

    def apply(self, task: Task, now: datetime) -> Task:
        return _owing(_given_up(task, now, self.error), now)


@dataclass(frozen=True, slots=True)
class TicketArrived:
    """The provider's answer to the submit came after the task had ended without it."""

    ticket: Ticket = field(repr=False)

    def apply(self, task: Task, now: datetime) -> Task:
        arrived = replace(task, ticket=self.ticket, outcome_open=_never_learned(task))
        return _owing(arrived, now)


@dataclass(frozen=True, slots=True)
class AnswerArrived:
    """The answer of a call that made speech or a voice came after the task had ended without it. Nobody
    wants the speech any more; what was made, and what it cost, is kept."""

    voice: ProviderVoice | None
    receipt: Mapping[str, JsonValue] | None

    def apply(self, task: Task, now: datetime) -> Task:
        known = task.voice.provider_voice_id is not None
        return replace(
            task if known else _bound(task, self.voice),
            receipt=_receipts(task, self.receipt),
            # Of a task that goes on, the calls are still counted up.
            outcome_open=_never_learned(task) if task.status.terminal else task.outcome_open,
        )


@dataclass(frozen=True, slots=True)
class CancelDeferred:
    """The provider could not be told to stop, or (not ``tried``) not from here; again at ``retry_at``."""

    retry_at: datetime
    tried: bool = True

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            task,
            cancel_attempts=task.cancel_attempts + self.tried,
            next_action_at=self.retry_at,
        )


@dataclass(frozen=True, slots=True)
class CancelSettled:
    """The provider knows, or we gave up telling it."""

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            task, cancel_attempts=task.cancel_attempts + 1, cancel_owed=False, next_action_at=None
        )


Event: TypeAlias = (
    SubmitStarted
    | SubmitDeferred
    | SubmitLost
    | Resubmit
    | SubmitAccepted
    | ProgressMade
    | CheckDeferred
    | FailureDoubted
    | ResultReady
    | StoreStarted
    | StoreDeferred
    | ResultLost
    | Stored
    | VoiceAdded
    | TaskFailed
    | DeadlinePassed
    | CancelRequested
    | TicketArrived
    | AnswerArrived
    | CancelDeferred
    | CancelSettled
)


def _released(task: Task, next_action_at: datetime) -> Task:
    return replace(task, lease_until=None, next_action_at=next_action_at)


def _ended(task: Task, now: datetime, error: ErrorInfo | None) -> Task:
    return replace(
        task,
        lease_until=None,
        next_action_at=None,
        completed_at=now,
        envelope=None,
        word=None,
        error=error,
    )


def _given_up(task: Task, now: datetime, error: ErrorInfo) -> Task:
    open_still = task.outcome_open or _never_learned(task)
    return replace(_ended(task, now, error=error), outcome_open=open_still)


def _bound(task: Task, made: ProviderVoice | None) -> Task:
    """The voice that a call made is on the row before anything else happens: it may have been paid for."""
    if made is None:
        return task
    voice = replace(
        task.voice,
        provider_voice_id=made.id,
        provider_target_model=made.target_model,
        provider_voice_kind=made.kind,
    )
    return replace(task, voice=voice)


def _never_learned(task: Task) -> bool:
    """Whether an earlier call was given up for lost before this one was made."""
    return task.resubmits > 0


def _receipts(
    task: Task, receipt: Mapping[str, JsonValue] | None
) -> Mapping[str, JsonValue] | None:
    """The newest receipt, with those of calls before it, which may have been paid as well."""
    if receipt is None or task.receipt is None:
        return receipt or task.receipt
    earlier = task.receipt.get("earlier")
    last = {name: value for name, value in task.receipt.items() if name != "earlier"}
    if receipt == last:
        return task.receipt
    return {**receipt, "earlier": [*(earlier if isinstance(earlier, list) else []), last]}


def _owing(task: Task, now: datetime) -> Task:
    """A job that the provider may still be working on has to be cancelled there."""
    if task.ticket is None:
        return task
    return replace(task, cancel_owed=True, next_action_at=now)


def _deadline_error(code: str, detail: str, *, ambiguous: bool = False) -> ErrorInfo:
    return ErrorInfo(
        category=Category.TIMEOUT,
        code=code,
        message=ProviderTimeout.default_message,
        detail=detail,
        ambiguous=ambiguous,
    )


NOT_ACCEPTED = _deadline_error("accept_deadline_passed", "no attempt was accepted in time")
_NOT_KNOWN = _deadline_error(
    "submission_outcome_unknown", "the submit was never answered", ambiguous=True
)
_NOT_FINISHED = _deadline_error("finish_deadline_passed", "accepted, but not finished in time")

_DEADLINE_ERRORS: Mapping[Phase, ErrorInfo] = {
    Phase.QUEUED: NOT_ACCEPTED,
    Phase.SUBMITTING: _NOT_FINISHED,
    Phase.SUBMIT_UNKNOWN: _NOT_KNOWN,
    Phase.RUNNING: _NOT_FINISHED,
    Phase.READY: _NOT_FINISHED,
    Phase.STORING: _NOT_FINISHED,
}

# --- the table ----------------------------------------------------------------------------------------

_ENDS: Mapping[type[Event], Phase] = {
    TaskFailed: Phase.FAILED,
    DeadlinePassed: Phase.FAILED,
    CancelRequested: Phase.CANCELLED,
}

#: phase → event → next phase. The diagram in ``docs/states.md`` is drawn from this table. An answer to a
#: submit may come late, so the phases after a lost submit take it too.
TRANSITIONS: Mapping[Phase, Mapping[type[Event], Phase]] = {
    Phase.QUEUED: {
        SubmitStarted: Phase.SUBMITTING,
        SubmitAccepted: Phase.RUNNING,
        ResultReady: Phase.READY,
        **_ENDS,
    },
    Phase.SUBMITTING: {
        SubmitDeferred: Phase.QUEUED,
        SubmitLost: Phase.SUBMIT_UNKNOWN,
        SubmitAccepted: Phase.RUNNING,
        ResultReady: Phase.READY,
        StoreStarted: Phase.STORING,
        **_ENDS,
    },
    Phase.SUBMIT_UNKNOWN: {
        Resubmit: Phase.QUEUED,
        AnswerArrived: Phase.SUBMIT_UNKNOWN,
        SubmitAccepted: Phase.RUNNING,
        ResultReady: Phase.READY,
        **_ENDS,
    },
    Phase.RUNNING: {
        ProgressMade: Phase.RUNNING,
        CheckDeferred: Phase.RUNNING,
        FailureDoubted: Phase.RUNNING,
        ResultReady: Phase.READY,
        **_ENDS,
    },
    Phase.READY: {
        StoreStarted: Phase.STORING,
        ResultLost: Phase.RUNNING,
        VoiceAdded: Phase.COMPLETED,
        **_ENDS,
    },
    Phase.STORING: {
        StoreStarted: Phase.STORING,
        StoreDeferred: Phase.READY,
        ResultLost: Phase.RUNNING,
        SubmitLost: Phase.SUBMIT_UNKNOWN,
        Stored: Phase.COMPLETED,
        **_ENDS,
    },
    Phase.COMPLETED: {},
    Phase.FAILED: {
        TicketArrived: Phase.FAILED,
        AnswerArrived: Phase.FAILED,
        CancelDeferred: Phase.FAILED,
        CancelSettled: Phase.FAILED,
    },
    Phase.CANCELLED: {
        TicketArrived: Phase.CANCELLED,
        AnswerArrived: Phase.CANCELLED,
        CancelDeferred: Phase.CANCELLED,
        CancelSettled: Phase.CANCELLED,
    },
}


def allows(task: Task, event: Event) -> bool:
    """Whether the table lets ``task`` take ``event``."""
    return type(event) in TRANSITIONS[task.phase]


def advance(task: Task, event: Event, now: datetime) -> Task:
    """The task after ``event``, one version on.

    A clock that was set back never makes a row's times run backwards (invariant I20).

    Raises:
        IllegalTransition: the table doesn't list ``event`` for the task's phase.
    """
    if not allows(task, event):
        raise IllegalTransition(detail=f"{type(event).__name__} in phase {task.phase}")
    now = max(now, task.updated_at)
    after = replace(
        event.apply(task, now),
        phase=TRANSITIONS[task.phase][type(event)],
        version=task.version + 1,
        updated_at=now,
    )
    return _looked_at_by_its_deadline(after)


def _looked_at_by_its_deadline(task: Task) -> Task:
    """A vendor may ask for a wait that is longer than the task has time."""
    last = deadline(task)
    if last is None or task.next_action_at is None:
        return task
    return replace(task, next_action_at=min(task.next_action_at, last))


# --- the rest of what follows from a task's state -----------------------------------------------------


def new_task(
    *,
    id: str,
    owner: str,
    provider: str,
    voice: Voice,
    characters: int,
    now: datetime,
    policy: Policy,
    kind: TaskKind = TaskKind.GENERATE,
    generation_id: str | None = None,
    options: Mapping[str, JsonValue] | None = None,
    idempotency_key: str | None = None,
    payload_hash: str | None = None,
) -> Task:
    """A queued task with both deadlines set; ``characters`` counts UTF-16 code units."""
    accept_by = now + timedelta(seconds=policy.accept_within)
    allowed = policy.finish_within + policy.finish_per_character * characters
    return Task(
        id=id,
        owner=owner,
        provider=provider,
        voice=voice,
        characters=characters,
        created_at=now,
        updated_at=now,
        accept_by=accept_by,
        finish_by=max(accept_by, now + timedelta(seconds=allowed)),
        kind=kind,
        generation_id=generation_id,
        options=options or {},
        idempotency_key=idempotency_key,
        payload_hash=payload_hash,
        next_action_at=now,
    )


def deadline(task: Task) -> datetime | None:
    """When the task fails if nothing changes, None once it has ended."""
    if task.status.terminal:
        return None
    if task.phase in (Phase.QUEUED, Phase.SUBMIT_UNKNOWN):
        return min(task.accept_by, task.finish_by)
    return task.finish_by


def lease_is_live(task: Task, now: datetime) -> bool:
    """Whether somebody is working on the task right now."""
    return task.lease_until is not None and task.lease_until > now


def is_due(task: Task, now: datetime) -> bool:
    """Whether the time of the next action has come."""
    return task.next_action_at is not None and task.next_action_at <= now


def provider_status(task: Task) -> str:
    """The provider-neutral word that a client is shown (design, section 3)."""
    if task.phase is Phase.QUEUED:
        return "provider_queued"
    if task.phase is Phase.SUBMITTING:
        return task.word or "provider_submitting"
    if task.phase is Phase.SUBMIT_UNKNOWN:
        return "unknown"
    if task.phase is Phase.RUNNING:
        return task.word or "provider_synthesizing"
    if task.phase is Phase.READY:
        return "finalizing" if task.finalize_attempts else "provider_downloading"
    if task.phase is Phase.STORING:
        return "provider_persisting"
    return task.phase.value


def reflect(generation: Generation, task: Task) -> Generation:
    """The generation as ``task`` makes it look: the one place that keeps the two in step."""
    return replace(
        generation,
        status=task.status,
        audio=task.audio,
        error_message=task.error.message if task.status.terminal and task.error else None,
        completed_at=task.completed_at,
    )
