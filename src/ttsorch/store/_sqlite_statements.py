"""What each method of the SQLite store does to the database, inside a transaction that is already open."""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ttsorch.errors import ActiveJobLimit, ProviderBusy, SubmitRateLimit
from ttsorch.models import (
    Effect,
    EffectState,
    Generation,
    Job,
    Limits,
    Pause,
    StuckTask,
    Task,
    TaskKind,
    Voice,
)
from ttsorch.store._limits import (
    LIMIT_WINDOW,
    LOOKS_FOR_DUE,
    PAUSE_SPREAD_SECONDS,
    UNREADABLE,
    UNREADABLE_HOLD_SECONDS,
)
from ttsorch.store._rows import (
    Column,
    Row,
    effect_from_row,
    effect_to_row,
    from_microseconds,
    generation_from_row,
    generation_to_row,
    pause_from_row,
    stuck_from_row,
    task_from_row,
    task_to_row,
    to_microseconds,
    voice_to_row,
)
from ttsorch.store._sql import queries
from ttsorch.store._unreadable import larger, read_all, read_one, read_or_none

_SQL = queries("sqlite.sql")

#: So many due jobs are sorted in some ten milliseconds.
_MOST_SORTED = 2000


# --- jobs ---------------------------------------------------------------------------------------------


def create(
    db: sqlite3.Connection,
    task: Task,
    generation: Generation | None,
    *,
    limits: Limits,
    now: datetime,
    lease_until: datetime | None,
) -> Job:
    row = task_to_row(task)
    if earlier := _job_or_none(db, _rows(db, "earlier_task", row)):
        return earlier
    if task.kind is not TaskKind.CLONE:
        _check_limits(db, row, limits, now)
    row["now"] = to_microseconds(now)
    if lease_until is not None:
        until = to_microseconds(lease_until)
        row |= {"fence": task.fence + 1, "lease_until": until, "next_action_at": until}
    if not _changed(db, "insert_task", row):
        raise _busy(db, row, now)
    if generation is not None:
        db.execute(_SQL["insert_generation"], generation_to_row(generation))
    return Job(task_from_row(row), generation)


def _check_limits(
    db: sqlite3.Connection, row: Mapping[str, Column], limits: Limits, now: datetime
) -> None:
    most = limits.active_per_owner
    if most is not None and _total(db, "count_active", row) >= most:
        raise ActiveJobLimit
    most = limits.submits_per_minute
    if most is not None:
        since = to_microseconds(now - LIMIT_WINDOW)
        recent = _rows(db, "last_submits", {"owner": row["owner"], "since": since, "limit": most})
        if len(recent) >= most:
            oldest = from_microseconds(recent[-1]["created_at"])
            raise SubmitRateLimit(retry_after=(oldest + LIMIT_WINDOW - now).total_seconds())
    most = limits.in_flight_per_provider
    if most is not None and _total(db, "count_in_flight", row) >= most:
        raise _busy(db, row, now)


def _busy(db: sqlite3.Connection, row: Mapping[str, Column], now: datetime) -> ProviderBusy:
    paused = _rows(db, "pause", {"provider": row["provider"], "now": to_microseconds(now)})
    if not paused:
        return ProviderBusy()
    left = from_microseconds(paused[0]["until"]) - now
    return ProviderBusy(retry_after=left.total_seconds())


def get(
    db: sqlite3.Connection, owner: str, task_id: str, *, include_deleted: bool = False
) -> Job | None:
    wanted: dict[str, Column] = {"id": task_id, "owner": owner, "include_deleted": include_deleted}
    return _job_or_none(db, _rows(db, "task", wanted))


def find_by_key(db: sqlite3.Connection, owner: str, idempotency_key: str) -> Job | None:
    wanted: dict[str, Column] = {"owner": owner, "idempotency_key": idempotency_key}
    return _job_or_none(db, _rows(db, "task_by_key", wanted))


def record_poll(db: sqlite3.Connection, owner: str, task_id: str) -> Job | None:
    counted = _rows(db, "count_poll", {"id": task_id, "owner": owner})
    return _job_or_none(db, counted) if counted else get(db, owner, task_id)


def write(
    db: sqlite3.Connection,
    task: Task,
    generation: Generation | None,
    *,
    expected_version: int,
    now: datetime,
    lease_until: datetime | None = None,
    sends: bool = False,
    effect: Effect | None = None,
) -> Task | None:
    """Compare-and-set of both rows; with ``lease_until`` only if no lease is live at ``now``; with ``sends``
    only if the provider isn't paused."""
    row = task_to_row(task) | {
        "expected_version": expected_version,
        "now": to_microseconds(now),
        "grants": 0,
        "sends": sends,
    }
    if lease_until is not None:
        until = to_microseconds(lease_until)
        row |= {"grants": 1, "lease_until": until, "next_action_at": until}
    written = _rows(db, "write_task", row)
    if not written:
        return None
    if generation is not None:
        db.execute(_SQL["write_generation"], generation_to_row(generation))
    if effect is not None:
        db.execute(_SQL["insert_effect"], effect_to_row(effect))
    return task_from_row(written[0])


def renew(db: sqlite3.Connection, task_id: str, *, fence: int, until: datetime) -> bool:
    return _changed(db, "renew", {"id": task_id, "fence": fence, "until": to_microseconds(until)})


def claim_due(
    db: sqlite3.Connection, *, now: datetime, hold: timedelta, limit: int
) -> Sequence[Job]:
    jobs: list[Job] = []
    for _ in range(LOOKS_FOR_DUE):
        left = limit - len(jobs)
        rows = _due(db, {"now": to_microseconds(now), "limit": left, "most": _MOST_SORTED})
        jobs += _handed_out(db, rows, now=now, hold=hold)
        if len(rows) < left or len(jobs) == limit:
            break  # else some of it is put off, and others may be due behind
    return jobs


def _due(db: sqlite3.Connection, wanted: Mapping[str, Column]) -> list[dict[str, Any]]:
    """In turns; a backlog is not sorted for that, which would take longer with every job in it."""
    backlog = _total(db, "count_due", wanted) == wanted["most"]
    return _rows(db, "due_tasks_of_a_backlog" if backlog else "due_tasks", wanted)


def _handed_out(
    db: sqlite3.Connection, rows: Sequence[Row], *, now: datetime, hold: timedelta
) -> Sequence[Job]:
    """The due ``rows`` that are for somebody to step, held; the others are put off, or aside."""
    put_off = _put_off(db, [row["id"] for row in rows if row["phase"] == "queued"], now)
    until = to_microseconds(now + hold)
    held = [{**row, "next_action_at": until} for row in rows if row["id"] not in put_off]
    if held:
        ids = json.dumps([row["id"] for row in held])
        db.execute(_SQL["hold_tasks"], {"until": until, "ids": ids})
    generations = _generations_of(db, held)
    jobs = []
    for row in held:
        if job := read_or_none(row, lambda row: _job(row, generations)):
            jobs.append(job)
            continue
        longest = timedelta(seconds=UNREADABLE_HOLD_SECONDS)
        put_aside(db, row["id"], reason=UNREADABLE, now=now, hold=hold, longest=longest)
    return jobs


def list_tasks(
    db: sqlite3.Connection,
    owner: str,
    *,
    active: bool | None,
    kind: TaskKind | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Job]:
    wanted: dict[str, Column] = {"owner": owner, "active": active, "kind": kind}
    if before is not None:
        start = to_microseconds(before[0]), before[1]
        wanted |= {"before_created_at": start[0], "before_id": start[1]}

    def page(size: int, last: Row | None) -> Sequence[Row]:
        if last is not None:
            wanted.update(before_created_at=last["created_at"], before_id=last["id"])
        name = "list_tasks_before" if "before_id" in wanted else "list_tasks"
        return _rows(db, name, {**wanted, "limit": size})

    return _listed(db, page, limit)


def list_unknown(db: sqlite3.Connection, *, now: datetime, limit: int) -> Sequence[Job]:
    return _jobs(db, _rows(db, "list_unknown", {"now": to_microseconds(now), "limit": limit}))


def list_unsettled(db: sqlite3.Connection, owner: str, *, after: str, limit: int) -> Sequence[Job]:
    def page(size: int, last: Row | None) -> Sequence[Row]:
        start = after if last is None else last["id"]
        return _rows(db, "list_unsettled", {"owner": owner, "after": start, "limit": size})

    return _listed(db, page, limit)


def hide_task(db: sqlite3.Connection, owner: str, task_id: str, *, now: datetime) -> bool:
    return _changed(db, "hide_task", {"id": task_id, "owner": owner, "now": to_microseconds(now)})


# --- effects ------------------------------------------------------------------------------------------


def claim_effects(
    db: sqlite3.Connection, *, now: datetime, hold: timedelta, limit: int
) -> Sequence[Effect]:
    effects: list[Effect] = []
    for _ in range(LOOKS_FOR_DUE):
        left = limit - len(effects)
        rows = _rows(db, "due_effects", {"now": to_microseconds(now), "limit": left})
        until = to_microseconds(now + hold)
        held = [{**row, "due_at": until} for row in rows]
        readable = read_all(held, effect_from_row, "effect", id="key")
        known = {effect.key for effect in readable}
        _hold_effects(db, known, until)
        aside = now + timedelta(seconds=UNREADABLE_HOLD_SECONDS)
        _hold_effects(db, {row["key"] for row in rows} - known, to_microseconds(aside))
        effects += readable
        if len(rows) < left or len(effects) == limit:
            break  # else some of it can't be read, and others may be due behind
    return effects


def _hold_effects(db: sqlite3.Connection, keys: Collection[str], until: int) -> None:
    if keys:
        db.execute(_SQL["hold_effects"], {"until": until, "keys": json.dumps(list(keys))})


def write_effect(db: sqlite3.Connection, effect: Effect) -> bool:
    return _changed(db, "write_effect", effect_to_row(effect))


def list_effects(db: sqlite3.Connection, state: EffectState, *, limit: int) -> Sequence[Effect]:
    rows = _rows(db, "list_effects", {"state": state.value, "limit": limit})
    return read_all(rows, effect_from_row, "effect", id="key")


# --- what is not to be sent, or not to be looked at ----------------------------------------------------


def pause_provider(
    db: sqlite3.Connection, provider: str, *, until: datetime, reason: str
) -> datetime | None:
    values: Mapping[str, Column] = {
        "provider": provider,
        "until": to_microseconds(until),
        "reason": reason,
    }
    return until if _changed(db, "pause_provider", values) else None


def end_pause(db: sqlite3.Connection, provider: str, *, now: datetime) -> bool:
    return _changed(db, "end_pause", {"provider": provider, "now": to_microseconds(now)})


def list_pauses(db: sqlite3.Connection, *, now: datetime) -> Sequence[Pause]:
    return [pause_from_row(row) for row in _rows(db, "list_pauses", {"now": to_microseconds(now)})]


def _put_off(db: sqlite3.Connection, ids: Sequence[str], now: datetime) -> set[str]:
    """Those of the queued tasks ``ids`` that now wait for the end of a pause."""
    if not ids:
        return set()
    spread = timedelta(seconds=PAUSE_SPREAD_SECONDS) // timedelta(microseconds=1)
    values: Mapping[str, Column] = {
        "ids": json.dumps(ids),
        "now": to_microseconds(now),
        "spread": spread,
    }
    return {row["id"] for row in _rows(db, "put_off_tasks", values)}


def put_aside(
    db: sqlite3.Connection,
    task_id: str,
    *,
    reason: str,
    now: datetime,
    hold: timedelta,
    longest: timedelta,
    expected_version: int | None = None,
) -> bool:
    microsecond = timedelta(microseconds=1)
    values: Mapping[str, Column] = {
        "id": task_id,
        "expected_version": expected_version,
        "reason": reason,
        "now": to_microseconds(now),
        "hold": hold // microsecond,
        "longest": longest // microsecond,
    }
    return _changed(db, "put_aside", values)


def list_stuck(db: sqlite3.Connection, *, limit: int) -> Sequence[StuckTask]:
    return [stuck_from_row(row) for row in _rows(db, "list_stuck", {"limit": limit})]


# --- generations --------------------------------------------------------------------------------------


def get_generation(db: sqlite3.Connection, owner: str, generation_id: str) -> Generation | None:
    rows = _rows(db, "generation", {"id": generation_id, "owner": owner})
    return read_one(rows[0], generation_from_row, "generation") if rows else None


def delete_generation(db: sqlite3.Connection, owner: str, generation_id: str) -> bool:
    return _changed(db, "delete_generation", {"id": generation_id, "owner": owner})


def unreferenced(db: sqlite3.Connection, keys: Sequence[str]) -> Sequence[str]:
    found = _rows(db, "referenced_keys", {"keys": json.dumps(list(keys))})
    referenced = {row["key"] for row in found}
    return [key for key in keys if key not in referenced]


# --- voices -------------------------------------------------------------------------------------------


def add_voice(db: sqlite3.Connection, voice: Voice, *, of_task: str | None) -> bool:
    return _changed(db, "insert_voice", voice_to_row(voice) | {"of_task": of_task})


def get_voice(db: sqlite3.Connection, owner: str, voice_id: str) -> Row | None:
    rows = _rows(db, "voice", {"id": voice_id, "owner": owner})
    return rows[0] if rows else None


def delete_voice(db: sqlite3.Connection, owner: str, voice_id: str, *, now: datetime) -> bool:
    return _changed(
        db, "delete_voice", {"id": voice_id, "owner": owner, "now": to_microseconds(now)}
    )


# --- pages --------------------------------------------------------------------------------------------


def page_of(
    db: sqlite3.Connection,
    listing: str,
    owner: str,
    *,
    page: int,
    per_page: int,
    search: str,
    **filters: str | None,
) -> tuple[Sequence[Row], int]:
    """The rows of one page of ``listing`` (``generations`` or ``voices``), and how many there are in all."""
    wanted: dict[str, Column] = {"owner": owner, "search": search.casefold(), **filters}
    total = _total(db, f"count_{listing}", wanted)
    offset = (page - 1) * per_page
    if offset >= total:
        return [], total  # also keeps page numbers beyond 64 bits away from SQLite
    wanted |= {"limit": per_page, "offset": offset}
    return _rows(db, f"list_{listing}", wanted), total


# --- one statement ------------------------------------------------------------------------------------


def _rows(db: sqlite3.Connection, name: str, values: Mapping[str, Column]) -> list[dict[str, Any]]:
    # All of them, always: an unfinished RETURNING would block the commit.
    return db.execute(_SQL[name], values).fetchall()


def _changed(db: sqlite3.Connection, name: str, values: Mapping[str, Column]) -> bool:
    return db.execute(_SQL[name], values).rowcount > 0


def _total(db: sqlite3.Connection, name: str, values: Mapping[str, Column]) -> int:
    total: int = _rows(db, name, values)[0]["total"]
    return total


def _job_or_none(db: sqlite3.Connection, rows: Sequence[Row]) -> Job | None:
    """One task with its generation, which is looked up faster by its id than in a list of them."""
    if not rows:
        return None
    wanted = {"id": rows[0]["generation_id"], "owner": rows[0]["owner"]}
    found = _rows(db, "generation", wanted) if wanted["id"] is not None else []
    generations = {row["id"]: row for row in found}
    return read_one(rows[0], lambda row: _job(row, generations), "task")


def _listed(
    db: sqlite3.Connection, page: Callable[[int, Row | None], Sequence[Row]], limit: int
) -> Sequence[Job]:
    """The first ``limit`` that can be read. ``page`` gives so many rows that come after the last one seen."""
    jobs: list[Job] = []
    size, last = limit, None
    while len(jobs) < limit:
        rows = page(size, last)
        jobs += _jobs(db, rows)
        if len(rows) < size:
            break
        size, last = larger(size), rows[-1]
    return jobs[:limit]


def _jobs(db: sqlite3.Connection, rows: Sequence[Row]) -> list[Job]:
    """The tasks of ``rows`` with their generations, which one further statement fetches; what can't be read
    is left out."""
    generations = _generations_of(db, rows)
    return read_all(rows, lambda row: _job(row, generations), "task")


def _generations_of(db: sqlite3.Connection, rows: Sequence[Row]) -> Mapping[str, Row]:
    ids = [row["generation_id"] for row in rows if row["generation_id"] is not None]
    found = _rows(db, "generations", {"ids": json.dumps(ids)}) if ids else []
    return {row["id"]: row for row in found}


def _job(row: Row, generations: Mapping[str, Row]) -> Job:
    found = generations.get(row["generation_id"])
    return Job(task_from_row(row), None if found is None else generation_from_row(found))
