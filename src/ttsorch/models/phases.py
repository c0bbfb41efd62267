"""How a task stands, for us and for a client, and what kinds of tasks there are."""

from collections.abc import Mapping
from enum import StrEnum


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
