"""Tasks, generations, voices and effects in PostgreSQL: for as many machines as the database can serve.

Every method is one statement, with what it needs before it, and so one transaction, which those on one task
may share with others that come at the same moment; only a create that finds somebody before it asks a second
one. A lease is granted and checked on the server's clock, inside the
statement. See ``docs/postgres.md`` for what an operator has to know.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from ttsorch.errors import RowUnreadable
from ttsorch.models import (
    NO_LIMITS,
    Clock,
    Effect,
    EffectState,
    Generation,
    Job,
    Limits,
    Page,
    Pause,
    Purged,
    Status,
    StuckTask,
    Task,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.store._postgres_create import create_job
from ttsorch.store._postgres_due import claim_due_effects, claim_due_jobs
from ttsorch.store._postgres_pool import PostgresPool
from ttsorch.store._postgres_rows import (
    as_stored,
    duration,
    effect_to_values,
    found_generation,
    in_step,
    items_of,
    job_from_row,
    job_to_values,
    page_values,
    purged,
    start_of,
    voice_to_values,
)
from ttsorch.store._postgres_schema import first_connection, greet, migrate
from ttsorch.store._postgres_url import read_url
from ttsorch.store._rows import (
    Row,
    effect_from_row,
    from_microseconds,
    pause_from_row,
    stuck_from_row,
    to_microseconds,
    voice_from_row,
)
from ttsorch.store._unreadable import larger, read_all, read_one

#: So many due jobs are sorted in a few milliseconds.
_MOST_SORTED = 2000


class PostgresTaskStore:
    """A :class:`~ttsorch.protocols.TaskStore` and :class:`~ttsorch.protocols.VoiceStore`.

    Made by :meth:`open`. Runs on asyncio only, and on the event loop that it was opened on.
    """

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        pool_size: int | None = None,
        pooler: bool | None = None,
        connect_seconds: float = 5.0,
        wait_seconds: float = 5.0,
        statement_seconds: float = 5.0,
    ) -> "PostgresTaskStore":
        """Connect, and bring the schema up to date.

        Args:
            url: ``postgresql://user:password@host:port/database``, with any parameter of libpq, and
                ``pool_size`` and ``pooler``.
            clock: in place of the server's, for tests.
            pool_size: connections at most; 10 if neither this nor the URL says.
            pooler: whether a transaction pooler (PgBouncer, Supavisor) is in between; found out if
                neither this nor the URL says.
            connect_seconds: for one new connection.
            wait_seconds: for a connection to become free, or for the database to come back.
            statement_seconds: for one statement.

        Raises:
            ConfigurationError: the URL has another form, the database is not in UTF-8, or the event loop
                is not asyncio's. The message never repeats the URL.
            SchemaTooNew: a newer ttsorch has migrated the database beyond what this one can use.
            StorageUnavailable: the database can't be opened.
        """
        target = read_url(url, connect_seconds=connect_seconds, pool_size=pool_size, pooler=pooler)
        async with first_connection(target) as connection:
            greeting = await greet(connection, target)
            await migrate(connection)
        return cls(
            await PostgresPool.open(
                target,
                greeting.clock,
                clock=clock,
                pooled=greeting.pooled,
                wait_seconds=wait_seconds,
                statement_seconds=statement_seconds,
            )
        )

    def now(self) -> datetime:
        return self._pool.clock()

    async def aclose(self) -> None:
        await self._pool.aclose()

    # --- jobs -----------------------------------------------------------------------------------------

    async def create(
        self,
        task: Task,
        generation: Generation | None,
        *,
        lease_seconds: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Job:
        return await create_job(
            self._pool, task, generation, lease_seconds=lease_seconds, limits=limits
        )

    async def get(self, owner: str, task_id: str, *, include_deleted: bool = False) -> Job | None:
        wanted = {"id": task_id, "owner": owner, "include_deleted": include_deleted}
        return _first_job(await self._pool.share("job", wanted, turn=task_id))

    async def find_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        wanted = {"owner": owner, "idempotency_key": idempotency_key}
        return _first_job(await self._pool.run("job_by_key", wanted))

    async def record_poll(self, owner: str, task_id: str) -> Job | None:
        rows = await self._pool.share("record_poll", {"id": task_id, "owner": owner}, turn=task_id)
        if not rows:
            return None
        if rows[0]["active"] and not rows[0]["counted"]:
            return await self.get(owner, task_id)  # it ended, or went, while we waited for its row
        return await self._in_step(read_one(rows[0], job_from_row, "task"))

    async def replace(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        values = job_to_values(task, generation, None) | effect_to_values(effect)
        values |= {"expected_version": expected_version, "sends": False}
        return bool(await self._pool.share("write_job", values, turn=task.id))

    async def claim(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        lease_seconds: float,
        sends: bool = False,
    ) -> Task | None:
        values = {**job_to_values(task, generation, lease_seconds), **effect_to_values(None)}
        values |= {"expected_version": expected_version, "sends": sends}
        written = await self._pool.share("write_job", values, turn=task.id)
        return as_stored(values, written[0]) if written else None

    async def renew(self, task_id: str, *, fence: int, lease_seconds: float) -> bool:
        wanted = {"id": task_id, "fence": fence, "lease": duration(lease_seconds)}
        return bool(await self._pool.share("renew", wanted, turn=task_id))

    async def claim_due(self, *, limit: int, hold_seconds: float) -> Sequence[Job]:
        jobs = await claim_due_jobs(
            self._pool, limit=limit, hold_seconds=hold_seconds, most_sorted=_MOST_SORTED
        )
        return [await self._in_step(job) for job in jobs]

    async def list_tasks(
        self,
        owner: str,
        *,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        wanted = {"owner": owner, "kind": kind and kind.value}
        start = None if before is None else (to_microseconds(before[0]), before[1])

        async def page(size: int, last: Row | None) -> Sequence[Row]:
            moment = start if last is None else (last["created_at"], last["id"])
            values = {**wanted, "limit": size, **start_of(moment)}
            if active:
                return await self._pool.run("list_active_tasks", values)
            return await self._pool.run("list_tasks", {**values, "active": active})

        return await _listed(page, limit)

    async def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        return _jobs(await self._pool.run("list_unknown", {"limit": limit}))

    async def delete_task(self, owner: str, task_id: str) -> bool:
        return bool(await self._pool.run("hide_task", {"id": task_id, "owner": owner}))

    # --- effects --------------------------------------------------------------------------------------

    async def claim_effects(self, *, limit: int, hold_seconds: float) -> Sequence[Effect]:
        return await claim_due_effects(self._pool, limit=limit, hold_seconds=hold_seconds)

    async def write_effect(self, effect: Effect) -> bool:
        return bool(await self._pool.run("write_effect", effect_to_values(effect)))

    async def list_effects(self, state: EffectState, *, limit: int = 100) -> Sequence[Effect]:
        wanted = {"state": state.value, "limit": limit}
        rows = await self._pool.run("list_effects", wanted)
        return read_all(rows, effect_from_row, "effect", id="key")

    # --- pauses and trouble ---------------------------------------------------------------------------

    async def pause_provider(
        self, provider: str, *, seconds: float, reason: str
    ) -> datetime | None:
        wanted = {"provider": provider, "pause": duration(seconds), "reason": reason}
        rows = await self._pool.run("pause_provider", wanted)
        return from_microseconds(rows[0]["until"]) if rows else None

    async def end_pause(self, provider: str) -> bool:
        return bool(await self._pool.run("end_pause", {"provider": provider}))

    async def list_pauses(self) -> Sequence[Pause]:
        return [pause_from_row(row) for row in await self._pool.run("list_pauses", {})]

    async def put_aside(
        self,
        task_id: str,
        *,
        expected_version: int,
        reason: str,
        hold_seconds: float,
        most_seconds: float,
    ) -> bool:
        wanted = {
            "id": task_id,
            "expected_version": expected_version,
            "reason": reason,
            "hold": duration(hold_seconds),
            "longest": duration(most_seconds),
        }
        return bool(await self._pool.run("put_aside", wanted))

    async def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        rows = await self._pool.run("list_stuck", {"limit": limit})
        return [stuck_from_row(row) for row in rows]

    # --- generations ----------------------------------------------------------------------------------

    async def get_generation(self, owner: str, generation_id: str) -> Generation | None:
        rows = await self._pool.run("generation", {"id": generation_id, "owner": owner})
        return read_one(rows[0], found_generation, "generation", id="g_id") if rows else None

    async def list_generations(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: tuple[Status, ...] = (),
    ) -> Page[Generation]:
        statuses = [each.value for each in status] or None
        wanted = {"owner": owner, "status": statuses, **page_values(page, per_page, search)}
        rows = await self._pool.run("page_of_generations", wanted)
        found = read_all(items_of(rows, "g_id"), found_generation, "generation", id="g_id")
        return Page(tuple(filter(None, found)), page, per_page, rows[0]["total"])

    async def delete_generation(self, owner: str, generation_id: str) -> bool:
        wanted = {"id": generation_id, "owner": owner}
        return bool(await self._pool.run("delete_generation", wanted))

    async def unreferenced(self, keys: Sequence[str]) -> Sequence[str]:
        rows = await self._pool.run("referenced_keys", {"keys": list(keys)})
        referenced = {row["key"] for row in rows}
        return [key for key in keys if key not in referenced]

    # --- purges ---------------------------------------------------------------------------------------

    async def purge_ended(
        self, *, older_than: float, limit: int, audio: bool = False, dry_run: bool = False
    ) -> Purged:
        age = duration(older_than)
        wanted = {"age": age, "limit": limit, "audio": audio, "dry_run": dry_run}
        rows = await self._pool.run("purge_ended", wanted, after=("plan_by_index",))
        return purged(rows[0], limit)

    async def purge_owned(
        self, owner: str, *, limit: int, abandon_owed: bool = False, dry_run: bool = False
    ) -> Purged:
        wanted = {
            "owner": owner,
            "limit": limit,
            "abandon_owed": abandon_owed,
            "dry_run": dry_run,
        }
        rows = await self._pool.run("purge_owned", wanted, after=("plan_by_index",))
        return purged(rows[0], limit)

    async def list_unsettled(
        self, owner: str, *, after: str = "", limit: int = 20
    ) -> Sequence[Job]:
        async def page(size: int, last: Row | None) -> Sequence[Row]:
            start = after if last is None else last["id"]
            wanted = {"owner": owner, "after": start, "limit": size}
            return await self._pool.run("list_unsettled", wanted)

        return await _listed(page, limit)

    # --- voices ---------------------------------------------------------------------------------------

    async def add_voice(self, voice: Voice, *, of_task: str | None = None) -> bool:
        values = voice_to_values(voice) | {"of_task": of_task}
        return bool(await self._pool.run("insert_voice", values))

    async def get_voice(
        self, owner: str, voice_id: str, *, include_deleted: bool = False
    ) -> Voice | None:
        wanted = {"id": voice_id, "owner": owner, "include_deleted": include_deleted}
        rows = await self._pool.run("voice", wanted)
        return read_one(rows[0], voice_from_row, "voice") if rows else None

    async def list_voices(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        source: VoiceSource | None = None,
    ) -> Page[Voice]:
        wanted = {
            "owner": owner,
            "source": source and source.value,
            **page_values(page, per_page, search),
        }
        rows = await self._pool.run("page_of_voices", wanted)
        found = read_all(items_of(rows, "id"), voice_from_row, "voice")
        return Page(tuple(found), page, per_page, rows[0]["total"])

    async def delete_voice(self, owner: str, voice_id: str) -> bool:
        return bool(await self._pool.run("delete_voice", {"id": voice_id, "owner": owner}))

    async def _in_step(self, job: Job) -> Job:
        """``job``, or, where its records are of two moments, both as they are now."""
        if in_step(job):
            return job
        task = job.task
        try:
            found = await self.get(task.owner, task.id, include_deleted=True)
        except RowUnreadable:
            found = None  # since a moment ago; whoever writes on what was read then is refused
        if found is None:
            return job
        return Job(replace(found.task, poll_count=task.poll_count), found.generation)


def _first_job(rows: Sequence[Row]) -> Job | None:
    return read_one(rows[0], job_from_row, "task") if rows else None


def _jobs(rows: Sequence[Row]) -> Sequence[Job]:
    return read_all(rows, job_from_row, "task")


async def _listed(
    page: Callable[[int, Row | None], Awaitable[Sequence[Row]]], limit: int
) -> Sequence[Job]:
    """The first ``limit`` that can be read. ``page`` gives so many rows that come after the last one seen."""
    jobs: list[Job] = []
    size, last = limit, None
    while len(jobs) < limit:
        rows = await page(size, last)
        jobs += _jobs(rows)
        if len(rows) < size:
            break
        size, last = larger(size), rows[-1]
    return jobs[:limit]
