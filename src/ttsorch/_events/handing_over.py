"""A task on its way to its provider: attempts, and what became of them."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from ttsorch._events import changes
from ttsorch.models import ErrorInfo, Task, Ticket


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
            changes.released(task, self.retry_at),
            outcome_open=changes.never_learned(task),
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
            changes.released(task, now),
            accept_by=self.resolve_by,
            outcome_open=True,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class Resubmit:
    """The host's policy accepts the risk of asking a second time."""

    accept_by: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.released(task, now),
            resubmits=task.resubmits + 1,
            accept_by=self.accept_by,
            word=None,
        )


@dataclass(frozen=True, slots=True)
class SubmitAccepted:
    """The provider took the job."""

    ticket: Ticket = field(repr=False)
    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.released(task, self.check_at),
            ticket=self.ticket,
            outcome_open=False,
            word=None,
            error=None,
        )
