"""Which of the memory store's tasks are due, in which order, and which of them have to wait all the same."""

import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta

from ttsorch.models import Phase, Task
from ttsorch.store._limits import PAUSE_SPREAD_SECONDS
from ttsorch.store._memory_rows import Rows

_LAST = datetime.max.replace(tzinfo=UTC)


def due_in_turns(rows: Rows, now: datetime) -> list[Task]:
    turns: Counter[str] = Counter()
    in_order = []
    for task in sorted(rows.tasks.values(), key=_urgency):
        if task.next_action_at is not None and task.next_action_at <= now:
            turns[task.owner] += 1
            in_order.append((turns[task.owner], task))
    return [task for _, task in sorted(in_order, key=lambda pair: pair[0])]


def put_off(rows: Rows, task: Task, now: datetime) -> datetime | None:
    """When a due task is looked at again that must not be sent now."""
    pause, last = rows.pause_of(task, now), min(task.accept_by, task.finish_by)
    if task.phase is not Phase.QUEUED or pause is None or last <= now:
        return None
    share = zlib.crc32(task.id.encode()) / 2**32
    spread = timedelta(seconds=share * PAUSE_SPREAD_SECONDS)
    return min(pause.until + spread, last)


def _urgency(task: Task) -> tuple[datetime, datetime, str]:
    return task.result_expires_at or _LAST, task.next_action_at or _LAST, task.id
