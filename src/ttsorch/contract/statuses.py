"""The status that a client is shown (contract 4.5).

The first answer to a new speech job is ``processing``, and no later one may step behind it: that the row
waits for somebody to take it up (``pending``) is told by ``provider_status`` alone. A designed voice's
first answer is ``pending`` (R16), and from its first poll on it is ``processing`` too.
"""

from collections.abc import Mapping

from ttsorch.models import Status, Task, TaskKind

#: From the ``status`` that a history is asked for to those of its rows; none named: all of them.
HISTORY_FILTERS: Mapping[str, tuple[Status, ...]] = {
    "": (),
    "all": (),
    "processing": (Status.PENDING, Status.PROCESSING),
    "completed": (Status.COMPLETED,),
    "failed": (Status.FAILED,),
    "cancelled": (Status.CANCELLED,),
}


def task_status(task: Task) -> Status:
    """What a poll says."""
    fresh = task.poll_count == 0 and task.attempts == 0
    if task.kind is not TaskKind.GENERATE and fresh:
        return task.status
    return speech_status(task.status)


def speech_status(status: Status) -> Status:
    """What a line of the history says."""
    return Status.PROCESSING if status is Status.PENDING else status
