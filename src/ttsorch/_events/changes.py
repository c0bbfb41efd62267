"""What several events do to a task."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from ttsorch.models import ErrorInfo, JsonValue, ProviderVoice, Task


def released(task: Task, next_action_at: datetime) -> Task:
    return replace(task, lease_until=None, next_action_at=next_action_at)


def ended(task: Task, now: datetime, error: ErrorInfo | None) -> Task:
    return replace(
        task,
        lease_until=None,
        next_action_at=None,
        completed_at=now,
        envelope=None,
        word=None,
        error=error,
    )


def given_up(task: Task, now: datetime, error: ErrorInfo) -> Task:
    open_still = task.outcome_open or never_learned(task)
    return replace(ended(task, now, error=error), outcome_open=open_still)


def bound(task: Task, made: ProviderVoice | None) -> Task:
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


def never_learned(task: Task) -> bool:
    """Whether an earlier call was given up for lost before this one was made."""
    return task.resubmits > 0


def receipts(task: Task, receipt: Mapping[str, JsonValue] | None) -> Mapping[str, JsonValue] | None:
    """The newest receipt, with those of calls before it, which may have been paid as well."""
    if receipt is None or task.receipt is None:
        return receipt or task.receipt
    earlier = task.receipt.get("earlier")
    last = {name: value for name, value in task.receipt.items() if name != "earlier"}
    if receipt == last:
        return task.receipt
    return {**receipt, "earlier": [*(earlier if isinstance(earlier, list) else []), last]}


def owing(task: Task, now: datetime) -> Task:
    """A job that the provider may still be working on has to be cancelled there."""
    if task.ticket is None:
        return task
    return replace(task, cancel_owed=True, next_action_at=now)
