"""Handing out what is due: a batch that others, what is put off and what can't be read don't make smaller."""

from collections.abc import Sequence

from ttsorch.models import Effect, Job
from ttsorch.store._limits import (
    LOOKS_FOR_DUE,
    PAUSE_SPREAD_SECONDS,
    UNREADABLE,
    UNREADABLE_HOLD_SECONDS,
)
from ttsorch.store._postgres_pool import PostgresPool
from ttsorch.store._postgres_rows import duration, items_of, job_from_row
from ttsorch.store._rows import effect_from_row
from ttsorch.store._unreadable import read_all, read_or_none


async def claim_due_jobs(
    pool: PostgresPool, *, limit: int, hold_seconds: float, most_sorted: int
) -> Sequence[Job]:
    """See :meth:`~ttsorch.protocols.TaskStore.claim_due`; a job's records may be of two moments."""
    found: dict[str, Job] = {}
    for _ in range(LOOKS_FOR_DUE):
        wanted = {
            "limit": limit - len(found),
            "hold": duration(hold_seconds),
            "spread": duration(PAUSE_SPREAD_SECONDS),
            "most": most_sorted,
        }
        rows = await pool.run("claim_due", wanted, after=("plan_by_index",))
        held = list(items_of(rows, "id"))
        for row in held:
            if row["put_off"]:
                continue
            if job := read_or_none(row, job_from_row):
                found[job.task.id] = job
            else:
                await _put_aside(pool, row["id"], hold_seconds)
        all_seen = len(held) < wanted["limit"] and not rows[0]["backlog"]
        if len(found) == limit or all_seen:
            break  # else others took what we looked at, or it is not for now, and more may be due behind
    return list(found.values())


async def claim_due_effects(
    pool: PostgresPool, *, limit: int, hold_seconds: float
) -> Sequence[Effect]:
    """See :meth:`~ttsorch.protocols.TaskStore.claim_effects`."""
    effects: list[Effect] = []
    for _ in range(LOOKS_FOR_DUE):
        left = limit - len(effects)
        rows = await pool.run("claim_effects", {"limit": left, "hold": duration(hold_seconds)})
        readable = read_all(rows, effect_from_row, "effect", id="key")
        effects += readable
        odd = {row["key"] for row in rows} - {effect.key for effect in readable}
        if odd:
            longest = duration(UNREADABLE_HOLD_SECONDS)
            await pool.run("put_effects_aside", {"keys": list(odd), "hold": longest})
        if not odd or len(effects) == limit:
            break  # else others may be due behind what can't be read
    return effects


async def _put_aside(pool: PostgresPool, task_id: str, hold_seconds: float) -> None:
    wanted = {
        "id": task_id,
        "expected_version": None,
        "reason": UNREADABLE,
        "hold": duration(hold_seconds),
        "longest": duration(UNREADABLE_HOLD_SECONDS),
    }
    await pool.run("put_aside", wanted)
