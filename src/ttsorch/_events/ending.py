"""A task that ends without its audio."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from ttsorch._events import changes
from ttsorch.errors import Category, ProviderTimeout
from ttsorch.models import ErrorInfo, Phase, Task


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """No audio will come. ``still_open``: of some call we never learned what became of it. ``owing``: the
    provider may be working all the same."""

    error: ErrorInfo
    still_open: bool = False
    owing: bool = False

    def apply(self, task: Task, now: datetime) -> Task:
        still_open = self.still_open or changes.never_learned(task)
        ended = replace(changes.ended(task, now, error=self.error), outcome_open=still_open)
        return changes.owing(ended, now) if self.owing else ended


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
        return changes.owing(changes.given_up(task, now, error), now)


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The user doesn't want it any more. The provider may still be working."""

    error: ErrorInfo

    def apply(self, task: Task, now: datetime) -> Task:
        return changes.owing(changes.given_up(task, now, self.error), now)


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
