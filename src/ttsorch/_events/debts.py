"""A task that has ended, or was given up for lost: what arrives late, and what its provider is still owed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ttsorch._events import changes
from ttsorch.models import JsonValue, ProviderVoice, Task, Ticket


@dataclass(frozen=True, slots=True)
class TicketArrived:
    """The provider's answer to the submit came after the task had ended without it."""

    ticket: Ticket = field(repr=False)

    def apply(self, task: Task, now: datetime) -> Task:
        arrived = replace(task, ticket=self.ticket, outcome_open=changes.never_learned(task))
        return changes.owing(arrived, now)


@dataclass(frozen=True, slots=True)
class AnswerArrived:
    """The answer of a call that made speech or a voice came after the task had ended without it. Nobody
    wants the speech any more; what was made, and what it cost, is kept."""

    voice: ProviderVoice | None
    receipt: Mapping[str, JsonValue] | None

    def apply(self, task: Task, now: datetime) -> Task:
        known = task.voice.provider_voice_id is not None
        return replace(
            task if known else changes.bound(task, self.voice),
            receipt=changes.receipts(task, self.receipt),
            # Of a task that goes on, the calls are still counted up.
            outcome_open=changes.never_learned(task) if task.status.terminal else task.outcome_open,
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
