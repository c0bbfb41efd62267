"""Every legal transition of a task, and nothing else.

Two rules. Everything about transitions lives here: no other file decides one by looking at a phase. And
nothing here does I/O, reads a clock or makes an id: time and ids are arguments. What an event changes beside
the phase, it says itself, in :mod:`ttsorch._events`.

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
from dataclasses import replace
from datetime import datetime, timedelta

from ttsorch._events import (
    NOT_ACCEPTED,
    STATUS_ERROR,
    AnswerArrived,
    CancelDeferred,
    CancelRequested,
    CancelSettled,
    CheckDeferred,
    DeadlinePassed,
    Event,
    FailureDoubted,
    ProgressMade,
    Resubmit,
    ResultLost,
    ResultReady,
    Stored,
    StoreDeferred,
    StoreStarted,
    SubmitAccepted,
    SubmitDeferred,
    SubmitLost,
    SubmitStarted,
    TaskFailed,
    TicketArrived,
    VoiceAdded,
)
from ttsorch.errors import IllegalTransition
from ttsorch.models import Generation, JsonValue, Phase, Policy, Task, TaskKind, Voice

__all__ = [
    # the table, and what follows from a state
    "TRANSITIONS",
    "allows",
    "advance",
    "new_task",
    "deadline",
    "lease_is_live",
    "is_due",
    "provider_status",
    "reflect",
    # the events
    "Event",
    "SubmitStarted",
    "SubmitDeferred",
    "SubmitLost",
    "Resubmit",
    "SubmitAccepted",
    "ProgressMade",
    "CheckDeferred",
    "FailureDoubted",
    "ResultReady",
    "StoreStarted",
    "StoreDeferred",
    "ResultLost",
    "Stored",
    "VoiceAdded",
    "TaskFailed",
    "DeadlinePassed",
    "CancelRequested",
    "TicketArrived",
    "AnswerArrived",
    "CancelDeferred",
    "CancelSettled",
    # words and errors that others show
    "STATUS_ERROR",
    "NOT_ACCEPTED",
]

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
