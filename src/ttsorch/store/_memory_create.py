"""A job's first write to the memory store: found again where it was before, counted against the limits."""

from datetime import datetime

from ttsorch.errors import ActiveJobLimit, ProviderBusy, SubmitRateLimit
from ttsorch.models import Limits, Task, TaskKind
from ttsorch.store._limits import LIMIT_WINDOW, UNREADABLE
from ttsorch.store._memory_rows import Rows


def earlier(rows: Rows, task: Task) -> Task | None:
    stored = rows.tasks.get(task.id)
    if stored and stored.owner == task.owner:
        return stored
    if task.idempotency_key is None:
        return None
    wanted = (task.owner, task.idempotency_key)
    same = (t for t in rows.tasks.values() if (t.owner, t.idempotency_key) == wanted)
    return next(same, None)


def check_limits(rows: Rows, task: Task, limits: Limits, now: datetime) -> None:
    counted = [each for each in rows.tasks.values() if each.kind is not TaskKind.CLONE]
    active = [each for each in counted if _takes_a_slot(rows, each)]
    most = limits.active_per_owner
    if most is not None and sum(each.owner == task.owner for each in active) >= most:
        raise ActiveJobLimit
    most = limits.submits_per_minute
    begun = sorted(each.created_at for each in counted if each.owner == task.owner)
    recent = [moment for moment in begun if moment > now - LIMIT_WINDOW]
    if most is not None and len(recent) >= most:
        raise SubmitRateLimit(retry_after=(recent[-most] + LIMIT_WINDOW - now).total_seconds())
    most = limits.in_flight_per_provider
    if most is not None and sum(each.provider == task.provider for each in active) >= most:
        raise busy(rows, task, now)


def _takes_a_slot(rows: Rows, task: Task) -> bool:
    _, failure = rows.failures.get(task.id, (0, ""))
    return not task.status.terminal and failure != UNREADABLE


def busy(rows: Rows, task: Task, now: datetime) -> ProviderBusy:
    pause = rows.pause_of(task, now)
    left = (pause.until - now).total_seconds() if pause else None
    return ProviderBusy(retry_after=left)
