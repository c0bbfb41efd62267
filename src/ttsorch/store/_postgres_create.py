"""A job's first write: counted against the limits, and found again where it was there before."""

from collections.abc import Mapping, Sequence

from ttsorch.errors import ActiveJobLimit, ProviderBusy, StorageUnavailable, SubmitRateLimit
from ttsorch.models import NO_LIMITS, Generation, Job, Limits, Task, TaskKind
from ttsorch.store._limits import LIMIT_WINDOW
from ttsorch.store._postgres_pool import PostgresPool
from ttsorch.store._postgres_rows import as_stored, duration, job_from_row, job_to_values
from ttsorch.store._rows import Column, Row
from ttsorch.store._unreadable import read_one


async def create_job(
    pool: PostgresPool,
    task: Task,
    generation: Generation | None,
    *,
    lease_seconds: float | None,
    limits: Limits,
) -> Job:
    """See :meth:`~ttsorch.protocols.TaskStore.create`."""
    if task.kind is TaskKind.CLONE:
        limits = NO_LIMITS
    values = {**job_to_values(task, generation, lease_seconds), **_limit_values(limits)}
    created = await _created(pool, task, values, _turns(limits))
    if created["fence"] is not None:
        return Job(as_stored(values, created), generation)
    earlier = await pool.run("earlier_job", values)
    if earlier:
        return read_one(earlier[0], job_from_row, "task")
    _raise_refusal(created)
    raise StorageUnavailable(detail="the id is taken")


async def _created(
    pool: PostgresPool, task: Task, values: Mapping[str, Column], turns: Sequence[str]
) -> Row:
    if turns:
        return (await pool.run("create_job", values, after=turns))[0]
    # Before all that locks rows, and by what they may wait for each other for.
    turn = f" {task.owner} {task.idempotency_key or task.id}"
    return (await pool.share("create_job", values, turn=turn))[0]


def _limit_values(limits: Limits) -> Mapping[str, Column]:
    return {
        "active_per_owner": limits.active_per_owner,
        "submits_per_minute": limits.submits_per_minute,
        "in_flight_per_provider": limits.in_flight_per_provider,
        "window": duration(LIMIT_WINDOW.total_seconds()),
    }


def _turns(limits: Limits) -> tuple[str, ...]:
    """The locks under which may be counted. Always the owner's first, so that no two creates wait for each
    other."""
    turns = []
    if limits.active_per_owner is not None or limits.submits_per_minute is not None:
        turns.append("one_of_an_owner_at_a_time")
    if limits.in_flight_per_provider is not None:
        turns.append("one_at_a_provider_at_a_time")
    return tuple(turns)


def _raise_refusal(created: Row) -> None:
    if created["owner_full"]:
        raise ActiveJobLimit
    if created["wait"] is not None:
        raise SubmitRateLimit(retry_after=created["wait"] / duration(1))
    if created["pause"] is not None:
        raise ProviderBusy(retry_after=created["pause"] / duration(1))
    if created["provider_full"]:
        raise ProviderBusy
