"""Ended jobs of some age for the suites' purges, and what is left after one."""

from collections.abc import Sequence
from datetime import timedelta

from ttsorch.models import Effect, EffectState, Job, Purged
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_jobs import ANNA, Move, completed, new_job

HOUR = 3600.0
LONG_AGO = timedelta(hours=2)
OF_LATE = timedelta(minutes=30)


async def ended_job(
    store: TaskStore,
    *,
    age: timedelta = LONG_AGO,
    owner: str = ANNA,
    move: Move = completed,
    key: str | None = None,
    effect: EffectState | None = None,
) -> Job:
    """A job that began and ended so long ago, and what its end left to be told."""
    return await moved_on(
        store, new_job(store.now() - age, owner=owner, idempotency_key=key), move, effect
    )


async def moved_on(
    store: TaskStore, job: Job, move: Move, effect: EffectState | None = None
) -> Job:
    """``job``, stored, and moved in the moment in which it was made."""
    await store.create(job.task, job.generation)
    later = move(job, job.task.created_at)
    left = None if effect is None else effect_of(later, effect)
    assert await store.replace(
        later.task, later.generation, expected_version=job.task.version, effect=left
    )
    return later


def effect_of(job: Job, state: EffectState) -> Effect:
    created = job.task.updated_at
    return Effect(
        key=f"{job.task.id}.{job.task.status}",
        owner=job.task.owner,
        task_id=job.task.id,
        status=job.task.status,
        created_at=created,
        due_at=created if state is EffectState.OWED else None,
        state=state,
    )


async def are_there(store: TaskStore, jobs: Sequence[Job]) -> list[bool]:
    """Which of these tasks still have a row."""
    found = [await store.get(j.task.owner, j.task.id, include_deleted=True) for j in jobs]
    return [job is not None for job in found]


async def purged_by_age(store: TaskStore, *, limit: int = 100, audio: bool = False) -> Purged:
    return await store.purge_ended(older_than=HOUR, limit=limit, audio=audio)
