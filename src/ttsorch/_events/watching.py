"""A task that its provider works on: what the checks said."""

from dataclasses import dataclass, replace
from datetime import datetime

from ttsorch.models import Task

#: The word for a provider that could not be asked (contract 4.2).
STATUS_ERROR = "status_error"


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
