"""What only the SQLite store promises: its file, and how it opens, fails and closes."""

import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest

from ttsorch.errors import ConfigurationError, SchemaTooNew, StorageUnavailable
from ttsorch.models import Job, Task
from ttsorch.states import ResultReady
from ttsorch.store import _sqlite_file, _sqlite_statements, sqlite
from ttsorch.store._rows import generation_to_row, task_to_row, to_microseconds
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store_jobs import (
    ANNA,
    audio_key,
    cancelled,
    completed,
    generation_of,
    ids,
    moved,
    new_clone,
    new_job,
    owing,
    race,
    ready,
    running,
    started,
    stored,
    voice_made,
)

pytestmark = pytest.mark.anyio

NEWEST = len(_sqlite_file._MIGRATIONS)


def _in_file(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(statement).fetchall()


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


# --- opening ------------------------------------------------------------------------------------------


async def test_reopening_finds_everything(tmp_path: Path) -> None:
    """What was written before a store was closed is there when the file is opened again."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path)
    job = await stored(store, new_job(store.now()), running)
    await store.aclose()
    store = await SqliteTaskStore.open(path)
    assert await store.get(ANNA, job.task.id) == job
    await store.aclose()


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """The database and the files beside it hold people's texts: mode 0600."""
    store = await SqliteTaskStore.open(tmp_path / "tasks.db")
    await stored(store, new_job(store.now()))
    modes = _modes(tmp_path)
    await store.aclose()
    assert modes == {"tasks.db": 0o600, "tasks.db-wal": 0o600, "tasks.db-shm": 0o600}


async def test_writes_are_durable(sqlite_store: SqliteTaskStore) -> None:
    """The file is in WAL mode and a commit waits for the disk."""
    pragmas = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
    rows = [
        await sqlite_store._writer.run(
            lambda db, name=pragma: list(db.execute(f"PRAGMA {name}").fetchone().values())  # type: ignore[misc]
        )
        for pragma in pragmas
    ]
    assert rows == [["wal"], [2], [1], [5000]]


@pytest.mark.parametrize("path", ["", ":memory:"])
async def test_a_store_needs_a_file(path: str) -> None:
    """SQLite's nameless databases are private to one connection, and this store has two."""
    with pytest.raises(ConfigurationError, match="needs a file's path"):
        await SqliteTaskStore.open(path)


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that lacks what the statements need is named at start, not met as a syntax error."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(ConfigurationError, match=r"3\.35 or newer is needed; .* 3\.34\.1"):
        await SqliteTaskStore.open(tmp_path / "tasks.db")


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A database that a newer ttsorch migrated is not touched; the error names both versions."""
    path = tmp_path / "tasks.db"
    _in_file(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew, match=rf"version 99, .* up to {NEWEST}\. Upgrade"):
        await SqliteTaskStore.open(path)
    assert path.read_bytes() == before


async def test_an_older_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening applies what is missing and keeps the rows."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path)
    job = await stored(store, new_job(store.now()))
    await store.aclose()
    another = f"CREATE TABLE extra (\n  id TEXT\n);\nPRAGMA user_version = {NEWEST + 1};\n"
    monkeypatch.setattr(_sqlite_file, "_MIGRATIONS", [*_sqlite_file._MIGRATIONS, another])
    store = await SqliteTaskStore.open(path)
    assert await store.get(ANNA, job.task.id) == job
    await store.aclose()
    assert _in_file(path, "PRAGMA user_version") == [(NEWEST + 1,)]
    assert _in_file(path, "SELECT * FROM extra") == []


def _first_database(path: Path, tasks: Sequence[Task]) -> None:
    """A file as the first version left it, with these rows."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(_sqlite_file._MIGRATIONS[0])
        known = {name for (name,) in db.execute("SELECT name FROM pragma_table_info('tasks')")}
        for task in tasks:
            row = {name: value for name, value in task_to_row(task).items() if name in known}
            columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            db.execute(f"INSERT INTO tasks ({columns}) VALUES ({values})", row)  # noqa: S608 - columns
        db.commit()


async def test_rows_from_before_there_were_receipts_are_kept(tmp_path: Path) -> None:
    """What the first schema holds is there after the second: the same rows, without receipt or doubt."""
    path, now = tmp_path / "tasks.db", datetime.now(UTC)
    jobs = [move(new_job(now), now) for move in (started, running, ready, completed, owing)]
    jobs += [new_clone(now), voice_made(new_clone(now), now)]
    jobs = [replace(job, task=replace(job.task, receipt=None), generation=None) for job in jobs]
    _first_database(path, [job.task for job in jobs])
    store = await SqliteTaskStore.open(path)
    assert [await store.get(ANNA, job.task.id) for job in jobs] == jobs
    noted = replace(jobs[1].task, receipt={"request_id": "r-1"}, doubted_at=now)
    assert await store.replace(noted, None, expected_version=noted.version)
    assert await store.get(ANNA, noted.id) == Job(noted, None)
    clips = [job.task.voice.reference_audio_key or "" for job in jobs[-2:]]
    assert await store.unreferenced(clips) == []
    await store.aclose()
    assert _in_file(path, "PRAGMA user_version") == [(NEWEST,)]


async def test_the_second_schema_forgets_the_envelopes_of_finished_rows(tmp_path: Path) -> None:
    """They may hold signed URLs; that of a task under way is the way to its result."""
    path, now = tmp_path / "tasks.db", datetime.now(UTC)
    under_way = ready(new_job(now), now).task
    url = under_way.envelope
    ended = [
        replace(move(new_job(now), now).task, envelope=url)
        for move in (completed, cancelled, owing)
    ]
    _first_database(path, [under_way, *ended])
    await (await SqliteTaskStore.open(path)).aclose()
    left = "SELECT id FROM tasks WHERE envelope IS NOT NULL"
    assert url is not None
    assert _in_file(path, left) == [(under_way.id,)]


async def test_generations_from_before_there_were_purges_are_kept(tmp_path: Path) -> None:
    """Their table is written anew; from then on a task may go without its generation."""
    path, now = tmp_path / "tasks.db", datetime.now(UTC) - timedelta(hours=2)
    jobs = [completed(new_job(now), now), running(new_job(now), now)]
    _first_database(path, [job.task for job in jobs])
    with closing(sqlite3.connect(path)) as db:
        for job in jobs:
            row = generation_to_row(generation_of(job))
            columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
            db.execute(f"INSERT INTO generations ({columns}) VALUES ({values})", row)  # noqa: S608 - columns
        db.commit()
    store = await SqliteTaskStore.open(path)
    assert [(await store.get(ANNA, job.task.id)) for job in jobs] == jobs
    assert (await store.purge_ended(older_than=3600, limit=10)).tasks == 1
    assert await store.get_generation(ANNA, generation_of(jobs[0]).id) == jobs[0].generation
    assert await store.unreferenced([audio_key(jobs[0])]) == []
    await store.aclose()


async def test_a_migrated_file_is_like_a_new_one(tmp_path: Path) -> None:
    """The same columns and indexes, whichever version made it."""
    _first_database(tmp_path / "old.db", [])
    names = []
    for name in ("old.db", "new.db"):
        await (await SqliteTaskStore.open(tmp_path / name)).aclose()
        parts = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
        names.append(_in_file(tmp_path / name, parts))
    assert names[0] == names[1]


async def test_a_failing_migration_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration is one transaction: what failed half way is undone, what came before stays."""
    path = tmp_path / "tasks.db"
    bad = f"CREATE TABLE extra (id TEXT);\nPRAGMA user_version = {NEWEST + 1};\nCREATE TABLE tasks (id);\n"
    monkeypatch.setattr(_sqlite_file, "_MIGRATIONS", [*_sqlite_file._MIGRATIONS, bad])
    with pytest.raises(StorageUnavailable):
        await SqliteTaskStore.open(path)
    assert _in_file(path, "PRAGMA user_version") == [(NEWEST,)]
    assert _in_file(path, "SELECT name FROM sqlite_schema WHERE name = 'extra'") == []


# --- what can't be opened, read or written ------------------------------------------------------------


async def test_a_path_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    """An error of the operating system comes as ours, with the cause beneath."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable) as failure:
        await SqliteTaskStore.open(tmp_path / "file" / "tasks.db")
    assert isinstance(failure.value.__cause__, OSError)


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """An error of SQLite comes as ours, with the cause beneath, and the file stays as it is."""
    path = tmp_path / "tasks.db"
    path.write_text("Dear diary, today was a long day. " * 100)
    with pytest.raises(StorageUnavailable) as failure:
        await SqliteTaskStore.open(path)
    assert failure.value.detail == "SQLITE_NOTADB"
    assert isinstance(failure.value.__cause__, sqlite3.DatabaseError)
    assert path.read_text().startswith("Dear diary")


async def test_a_full_disk_is_unavailable_and_passes(sqlite_store: SqliteTaskStore) -> None:
    """While nothing more fits, writes fail and reads go on; once there is room, all is well."""
    job = await stored(sqlite_store, new_job(sqlite_store.now()))
    big = new_job(sqlite_store.now(), text="long " * 100_000)
    await sqlite_store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(StorageUnavailable) as failure:
        await sqlite_store.create(big.task, big.generation)
    assert failure.value.detail == "SQLITE_FULL"
    assert await sqlite_store.get(ANNA, job.task.id) == job
    assert await sqlite_store.get(ANNA, big.task.id) is None
    await sqlite_store._writer.run(
        lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchall()
    )
    assert await sqlite_store.create(big.task, big.generation) == big


async def test_a_read_only_database_is_unavailable(sqlite_store: SqliteTaskStore) -> None:
    """A database that can't be written fails with ours, and says why to the operator."""
    job = new_job(sqlite_store.now())
    await sqlite_store._writer.run(lambda db: db.execute("PRAGMA query_only = ON").fetchall())
    with pytest.raises(StorageUnavailable) as failure:
        await sqlite_store.create(job.task, job.generation)
    assert failure.value.detail == "SQLITE_READONLY"
    assert isinstance(failure.value.__cause__, sqlite3.OperationalError)


async def test_the_error_repeats_no_value(sqlite_store: SqliteTaskStore) -> None:
    """What a row holds never appears in an error."""
    first = await stored(sqlite_store, new_job(sqlite_store.now(), generation_id="secret-id"))
    second = new_job(sqlite_store.now(), generation_id="secret-id", text="secret text")
    with pytest.raises(StorageUnavailable) as failure:
        await sqlite_store.create(second.task, second.generation)
    assert failure.value.detail == "SQLITE_CONSTRAINT_PRIMARYKEY"
    assert "secret" not in f"{failure.value!r} {failure.value.__cause__!r}"
    assert await sqlite_store.get(ANNA, first.task.id) == first


async def test_task_and_generation_are_replaced_together(sqlite_store: SqliteTaskStore) -> None:
    """When the second statement of a replace fails, the first is undone (F35)."""
    job = await stored(sqlite_store, new_job(sqlite_store.now()))
    await sqlite_store._writer.run(
        lambda db: db.execute(
            "CREATE TEMP TRIGGER broken BEFORE UPDATE ON generations"
            " BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )
    )
    later = running(job, sqlite_store.now())
    with pytest.raises(StorageUnavailable):
        await sqlite_store.replace(later.task, later.generation, expected_version=1)
    assert await sqlite_store.get(ANNA, job.task.id) == job


async def test_a_bug_in_a_statement_is_not_dressed_up(sqlite_store: SqliteTaskStore) -> None:
    """An error that is not SQLite's reaches the caller as it is, and the store lives on."""
    job = new_job(sqlite_store.now(), options={"unstorable": object()})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        await sqlite_store.create(job.task, job.generation)
    assert await sqlite_store.get(ANNA, job.task.id) is None


# --- other connections to the same file ---------------------------------------------------------------


async def test_a_lock_that_stays_is_unavailable(tmp_path: Path) -> None:
    """When another process writes for longer than busy_seconds a write fails; reads go on meanwhile."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path, busy_seconds=0.05)
    job = await stored(store, new_job(store.now()), running)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable) as failure:
            await store.record_poll(ANNA, job.task.id)
        assert failure.value.detail == "SQLITE_BUSY"
        assert await store.get(ANNA, job.task.id) == job
        other.execute("ROLLBACK")
    polled = await store.record_poll(ANNA, job.task.id)
    assert polled is not None
    assert polled.task.poll_count == 1
    await store.aclose()


def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    """Where SQLite refuses at once the transaction is tried again; other errors are not."""
    path = tmp_path / "any.db"
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path, timeout=0)) as two:
        one.execute("BEGIN IMMEDIATE")
        tries = []

        def attempt() -> str:
            tries.append(1)
            if len(tries) == 3:
                one.rollback()
            two.execute("BEGIN IMMEDIATE")
            return "done"

        assert _sqlite_file.retry_busy(attempt, 60) == "done"
        assert len(tries) == 3
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            _sqlite_file.retry_busy(attempt, 60)
        assert len(tries) == 4


async def test_two_stores_share_a_file(tmp_path: Path) -> None:
    """Several stores on one file see one another's writes and exclude one another."""
    stores = [await SqliteTaskStore.open(tmp_path / "tasks.db") for _ in range(2)]
    job = await stored(stores[0], new_job(stores[0].now()), running)
    assert await stores[1].get(ANNA, job.task.id) == job
    await race(lambda n: stores[n % 2].record_poll(ANNA, job.task.id), 40)
    found = await stores[0].get(ANNA, job.task.id)
    assert found is not None
    assert found.task.poll_count == 40
    for store in stores:
        await store.aclose()


# --- closing ------------------------------------------------------------------------------------------


async def test_aclose_finishes_what_is_queued(tmp_path: Path) -> None:
    """Writes that were under way when the store was closed are acknowledged and in the file."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path)
    jobs = [new_job(store.now()) for _ in range(20)]
    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(store.create, job.task, job.generation)
        await anyio.wait_all_tasks_blocked()
        await store.aclose()
    assert _in_file(path, "SELECT count(*) FROM tasks") == [(20,)]


async def test_aclose_leaves_nothing_behind(tmp_path: Path) -> None:
    """After a close the threads have ended and the file stands alone."""
    store = await SqliteTaskStore.open(tmp_path / "tasks.db")
    await stored(store, new_job(store.now()))
    await store.aclose()
    assert not store._writer._thread.is_alive()
    assert not store._reader._thread.is_alive()
    assert list(_modes(tmp_path)) == ["tasks.db"]


async def test_a_cancelled_aclose_still_closes(tmp_path: Path) -> None:
    """A close that is cancelled has set everything going; the next one waits for the end."""
    store = await SqliteTaskStore.open(tmp_path / "tasks.db")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.aclose()
    with pytest.raises(StorageUnavailable, match="closed"):
        await store.get(ANNA, "any")
    await store.aclose()
    assert not store._writer._thread.is_alive()


@pytest.mark.parametrize("failing", ["synchronous_full", "refuse_writes"])
async def test_a_failed_open_closes_its_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """When a step of opening fails nothing stays open."""
    opened: list[sqlite3.Connection] = []
    connect = _sqlite_file.connect

    def spy(path: Path, busy_seconds: float) -> sqlite3.Connection:
        opened.append(connect(path, busy_seconds))
        return opened[-1]

    monkeypatch.setattr(sqlite, "connect", spy)
    monkeypatch.setattr(_sqlite_file, "_SQL", {**_sqlite_file._SQL, failing: "nonsense"})
    with pytest.raises(StorageUnavailable):
        await SqliteTaskStore.open(tmp_path / "tasks.db")
    assert opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_a_store_outlives_an_event_loop(tmp_path: Path, anyio_backend: str) -> None:
    """A store that was opened on one event loop serves the next one."""
    store = anyio.run(SqliteTaskStore.open, tmp_path / "tasks.db", backend=anyio_backend)
    job = anyio.run(partial(stored, store, new_job(store.now())), backend=anyio_backend)
    assert anyio.run(store.get, ANNA, job.task.id, backend=anyio_backend) == job
    anyio.run(store.aclose, backend=anyio_backend)


async def test_a_row_of_a_newer_version_does_not_hide_its_neighbours(tmp_path: Path) -> None:
    """What this version can't read is put aside; everything else that is due is handed out."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path)
    strange = await stored(store, new_job(store.now()))
    known = await stored(store, new_job(store.now()))
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE tasks SET phase = 'from the future' WHERE id = ?", [strange.task.id])
        db.commit()
    due = await store.claim_due(limit=10, hold_seconds=5)
    await store.aclose()
    assert [job.task.id for job in due] == [known.task.id]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tasks SET options = '{' WHERE id = ?",
        "UPDATE tasks SET error = '[]' WHERE id = ?",
        "UPDATE tasks SET created_at = 9223372036854775807 WHERE id = ?",
        "UPDATE tasks SET phase = 'from the future' WHERE id = ?",
        "UPDATE generations SET status = 'from the future' WHERE task_id = ?",
        "UPDATE generations SET audio = '{\"key\": 1}' WHERE task_id = ?",
    ],
)
async def test_damaged_rows_take_no_place_and_come_back_later_each_time(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """Whatever is wrong with them, they hide nobody; they are listed, and logged without what they hold."""
    path = tmp_path / "tasks.db"
    store = await SqliteTaskStore.open(path, clock=clock)
    bad = [await stored(store, new_job(store.now(), text="a secret")) for _ in range(3)]
    clock.advance(1)
    good = [await stored(store, new_job(store.now())) for _ in range(2)]
    with closing(sqlite3.connect(path)) as db:
        db.executemany(damage, [[job.task.id] for job in bad])
        db.commit()
    assert sorted(ids(await store.claim_due(limit=2, hold_seconds=10))) == sorted(ids(good))
    for _ in range(75):
        clock.advance(20)
        assert set(ids(await store.claim_due(limit=2, hold_seconds=10))) <= set(ids(good))
    stuck = await store.list_stuck()
    assert sorted(each.id for each in stuck) == sorted(ids(bad))
    assert {each.reason for each in stuck} == {"unreadable"}
    assert all(6 < each.failures < 12 for each in stuck)
    assert "and is put aside" in caplog.text
    assert "a secret" not in caplog.text
    await store.aclose()


async def test_a_backlog_is_handed_out_in_the_same_turns(
    sqlite_store: SqliteTaskStore,
) -> None:
    """The query for many due jobs gives what the one for few gives: every turn, every expiry."""
    now = sqlite_store.now()
    for number in range(40):
        job = new_job(now - timedelta(seconds=100 - number), owner=f"owner {number % 4}")
        await stored(sqlite_store, job)
        if number % 3 == 0:
            expires_at = now + timedelta(hours=(number * 7) % 11)
            later = moved(running(job, now), now, ResultReady(envelope={}, expires_at=expires_at))
            assert await sqlite_store.replace(later.task, None, expected_version=1)
    wanted = {"now": to_microseconds(sqlite_store.now()), "limit": 30, "most": 1000}
    few = await sqlite_store._reader.run(lambda db: _sqlite_statements._due(db, wanted))
    many = await sqlite_store._reader.run(
        lambda db: _sqlite_statements._due(db, {**wanted, "most": 1})
    )
    assert len(few) == 30
    assert many == few
