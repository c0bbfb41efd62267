"""Tasks, generations and voices in one SQLite file: durable without a server.

Any number of stores and processes may share the file. Each store has two connections in threads of their
own: one writes, committing for all waiting calls at once; one reads beside it, which WAL allows.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio.to_thread

from ttsorch.errors import ConfigurationError
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
from ttsorch.store import _sqlite_purging as purging
from ttsorch.store import _sqlite_statements as statements
from ttsorch.store._clock import utc_now
from ttsorch.store._rows import generation_from_row, voice_from_row
from ttsorch.store._sql import queries
from ttsorch.store._sqlite_file import (
    connect,
    create_file,
    opening,
    prepare_reader,
    prepare_writer,
)
from ttsorch.store._sqlite_thread import SqliteThread
from ttsorch.store._unreadable import read_all, read_one

_SQL = queries("sqlite.sql")


class SqliteTaskStore:
    """A :class:`~ttsorch.protocols.TaskStore` and :class:`~ttsorch.protocols.VoiceStore`.

    Made by :meth:`open`. Runs on asyncio and trio, and from several event loops at once.
    """

    def __init__(self, *, writer: SqliteThread, reader: SqliteThread, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    @classmethod
    async def open(
        cls, path: str | Path, *, clock: Clock = utc_now, busy_seconds: float = 5.0
    ) -> "SqliteTaskStore":
        """Open the file, or make it, and bring its schema up to date.

        ``clock`` is the database's clock; it is called in the store's own threads. ``busy_seconds`` is
        how long a call waits while another process writes.

        Raises:
            ConfigurationError: ``path`` is no file's, or this Python's SQLite is too old.
            SchemaTooNew: a newer ttsorch has migrated the file.
            StorageUnavailable: the file can't be opened.
        """
        if str(path) in ("", ":memory:"):
            raise ConfigurationError("The SQLite task store needs a file's path.")
        threads = await anyio.to_thread.run_sync(_start, Path(path), busy_seconds)
        return cls(writer=threads[0], reader=threads[1], clock=clock)

    def now(self) -> datetime:
        return self._clock()

    async def aclose(self) -> None:
        # Asked to stop before the first await, so that they do even if this is cancelled.
        self._writer.stop()
        self._reader.stop()
        await anyio.to_thread.run_sync(self._writer.join)
        await anyio.to_thread.run_sync(self._reader.join)

    # --- jobs -----------------------------------------------------------------------------------------

    async def create(
        self,
        task: Task,
        generation: Generation | None,
        *,
        lease_seconds: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Job:
        def run(db: sqlite3.Connection) -> Job:
            lease_until = None if lease_seconds is None else self._in(lease_seconds)
            return statements.create(
                db, task, generation, limits=limits, now=self.now(), lease_until=lease_until
            )

        return await self._writer.run(run)

    async def get(self, owner: str, task_id: str, *, include_deleted: bool = False) -> Job | None:
        return await self._reader.run(
            lambda db: statements.get(db, owner, task_id, include_deleted=include_deleted)
        )

    async def find_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        return await self._reader.run(lambda db: statements.find_by_key(db, owner, idempotency_key))

    async def record_poll(self, owner: str, task_id: str) -> Job | None:
        return await self._writer.run(lambda db: statements.record_poll(db, owner, task_id))

    async def replace(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            written = statements.write(
                db,
                task,
                generation,
                expected_version=expected_version,
                now=self.now(),
                effect=effect,
            )
            return written is not None

        return await self._writer.run(run)

    async def claim(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        lease_seconds: float,
        sends: bool = False,
    ) -> Task | None:
        def run(db: sqlite3.Connection) -> Task | None:
            now = self.now()
            return statements.write(
                db,
                task,
                generation,
                expected_version=expected_version,
                now=now,
                lease_until=now + timedelta(seconds=lease_seconds),
                sends=sends,
            )

        return await self._writer.run(run)

    async def renew(self, task_id: str, *, fence: int, lease_seconds: float) -> bool:
        return await self._writer.run(
            lambda db: statements.renew(db, task_id, fence=fence, until=self._in(lease_seconds))
        )

    async def claim_due(self, *, limit: int, hold_seconds: float) -> Sequence[Job]:
        hold = timedelta(seconds=hold_seconds)
        return await self._writer.run(
            lambda db: statements.claim_due(db, now=self.now(), hold=hold, limit=limit)
        )

    async def list_tasks(
        self,
        owner: str,
        *,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        return await self._reader.run(
            lambda db: statements.list_tasks(
                db, owner, active=active, kind=kind, before=before, limit=limit
            )
        )

    async def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        return await self._reader.run(
            lambda db: statements.list_unknown(db, now=self.now(), limit=limit)
        )

    async def delete_task(self, owner: str, task_id: str) -> bool:
        return await self._writer.run(
            lambda db: statements.hide_task(db, owner, task_id, now=self.now())
        )

    # --- effects --------------------------------------------------------------------------------------

    async def claim_effects(self, *, limit: int, hold_seconds: float) -> Sequence[Effect]:
        hold = timedelta(seconds=hold_seconds)
        return await self._writer.run(
            lambda db: statements.claim_effects(db, now=self.now(), hold=hold, limit=limit)
        )

    async def write_effect(self, effect: Effect) -> bool:
        return await self._writer.run(lambda db: statements.write_effect(db, effect))

    async def list_effects(self, state: EffectState, *, limit: int = 100) -> Sequence[Effect]:
        return await self._reader.run(lambda db: statements.list_effects(db, state, limit=limit))

    # --- pauses and trouble ---------------------------------------------------------------------------

    async def pause_provider(
        self, provider: str, *, seconds: float, reason: str
    ) -> datetime | None:
        return await self._writer.run(
            lambda db: statements.pause_provider(
                db, provider, until=self._in(seconds), reason=reason
            )
        )

    async def end_pause(self, provider: str) -> bool:
        return await self._writer.run(lambda db: statements.end_pause(db, provider, now=self.now()))

    async def list_pauses(self) -> Sequence[Pause]:
        return await self._reader.run(lambda db: statements.list_pauses(db, now=self.now()))

    async def put_aside(
        self,
        task_id: str,
        *,
        expected_version: int,
        reason: str,
        hold_seconds: float,
        most_seconds: float,
    ) -> bool:
        return await self._writer.run(
            lambda db: statements.put_aside(
                db,
                task_id,
                expected_version=expected_version,
                reason=reason,
                now=self.now(),
                hold=timedelta(seconds=hold_seconds),
                longest=timedelta(seconds=most_seconds),
            )
        )

    async def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        return await self._reader.run(lambda db: statements.list_stuck(db, limit=limit))

    # --- generations ----------------------------------------------------------------------------------

    async def get_generation(self, owner: str, generation_id: str) -> Generation | None:
        return await self._reader.run(
            lambda db: statements.get_generation(db, owner, generation_id)
        )

    async def list_generations(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: tuple[Status, ...] = (),
    ) -> Page[Generation]:
        rows, total = await self._reader.run(
            lambda db: statements.page_of(
                db,
                "generations",
                owner,
                page=page,
                per_page=per_page,
                search=search,
                status=json.dumps(status) if status else None,
            )
        )
        found = read_all(rows, generation_from_row, "generation")
        return Page(tuple(found), page, per_page, total)

    async def delete_generation(self, owner: str, generation_id: str) -> bool:
        return await self._writer.run(
            lambda db: statements.delete_generation(db, owner, generation_id)
        )

    async def unreferenced(self, keys: Sequence[str]) -> Sequence[str]:
        return await self._reader.run(lambda db: statements.unreferenced(db, keys))

    # --- purges ---------------------------------------------------------------------------------------

    async def purge_ended(
        self, *, older_than: float, limit: int, audio: bool = False, dry_run: bool = False
    ) -> Purged:
        return await self._writer.run(
            lambda db: purging.purge_ended(
                db, before=self._in(-older_than), limit=limit, audio=audio, dry_run=dry_run
            )
        )

    async def purge_owned(
        self, owner: str, *, limit: int, abandon_owed: bool = False, dry_run: bool = False
    ) -> Purged:
        return await self._writer.run(
            lambda db: purging.purge_owned(
                db,
                owner,
                now=self.now(),
                limit=limit,
                abandon_owed=abandon_owed,
                dry_run=dry_run,
            )
        )

    async def list_unsettled(
        self, owner: str, *, after: str = "", limit: int = 20
    ) -> Sequence[Job]:
        return await self._reader.run(
            lambda db: statements.list_unsettled(db, owner, after=after, limit=limit)
        )

    # --- voices ---------------------------------------------------------------------------------------

    async def add_voice(self, voice: Voice, *, of_task: str | None = None) -> bool:
        return await self._writer.run(lambda db: statements.add_voice(db, voice, of_task=of_task))

    async def get_voice(
        self, owner: str, voice_id: str, *, include_deleted: bool = False
    ) -> Voice | None:
        row = await self._reader.run(lambda db: statements.get_voice(db, owner, voice_id))
        voice = None if row is None else read_one(row, voice_from_row, "voice")
        return voice if voice and (include_deleted or voice.deleted_at is None) else None

    async def list_voices(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        source: VoiceSource | None = None,
    ) -> Page[Voice]:
        rows, total = await self._reader.run(
            lambda db: statements.page_of(
                db, "voices", owner, page=page, per_page=per_page, search=search, source=source
            )
        )
        found = read_all(rows, voice_from_row, "voice")
        return Page(tuple(found), page, per_page, total)

    async def delete_voice(self, owner: str, voice_id: str) -> bool:
        return await self._writer.run(
            lambda db: statements.delete_voice(db, owner, voice_id, now=self.now())
        )

    def _in(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)


def _start(path: Path, busy_seconds: float) -> tuple[SqliteThread, SqliteThread]:
    with opening(), ExitStack() as undo:
        create_file(path)
        writer = undo.enter_context(closing(connect(path, busy_seconds)))
        prepare_writer(writer, busy_seconds)
        reader = undo.enter_context(closing(connect(path, busy_seconds)))
        prepare_reader(reader)
        undo.pop_all()
    thread = partial(SqliteThread, busy_seconds=busy_seconds)
    return (
        thread(writer, begin=_SQL["begin_write"], name=f"ttsorch-writer-{path.name}"),
        thread(reader, begin=_SQL["begin_read"], name=f"ttsorch-reader-{path.name}"),
    )
