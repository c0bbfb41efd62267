"""The SQLite store across processes: kills, races, migrations at once, forks."""

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import anyio

from ttsorch.store._sql import migrations
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.task_store_jobs import new_job

_KILLS = 20
_RIVALS = 3
_MIGRATORS = 10


def _child(mode: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.store.child_process", mode, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _whole_lines(output: str) -> list[str]:
    return output[: output.rfind("\n") + 1].split()


def _ids(db: sqlite3.Connection, statement: str) -> set[str]:
    return {row[0] for row in db.execute(statement)}


def test_kill_loses_no_acknowledged_row(tmp_path: Path) -> None:
    """Whenever its writer is killed, all it acknowledged is there, each task with its generation."""
    path = tmp_path / "tasks.db"
    acknowledged: set[str] = set()
    for _ in range(_KILLS):
        with _child("write", path) as child:
            assert child.stdout is not None
            first = child.stdout.readline().strip()
            time.sleep(random.uniform(0, 0.05))  # the moment of death, not a synchronisation
            child.kill()
            acknowledged |= {first, *_whole_lines(child.stdout.read())}
    assert len(acknowledged) >= _KILLS
    with closing(sqlite3.connect(path)) as db:
        tasks = _ids(db, "SELECT id FROM tasks")
        assert acknowledged <= tasks
        assert tasks == _ids(db, "SELECT task_id FROM generations")
        assert _ids(db, "PRAGMA integrity_check") == {"ok"}


async def _prepare(path: Path, count: int) -> set[str]:
    store = await SqliteTaskStore.open(path)
    jobs = [new_job(store.now()) for _ in range(count)]
    for job in jobs:
        await store.create(job.task, job.generation)
    await store.aclose()
    return {job.task.id for job in jobs}


def test_processes_that_race_get_one_lease_each(tmp_path: Path) -> None:
    """Of processes that claim the same jobs at once, one gets each job, with the first token."""
    path = tmp_path / "tasks.db"
    wanted = anyio.run(_prepare, path, 200)
    rivals = [_child("claim", path) for _ in range(_RIVALS)]
    for rival in rivals:
        assert rival.stdout is not None
        assert rival.stdout.readline() == "ready\n"
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    granted = [line for rival in rivals for line in rival.communicate()[0].splitlines()]
    assert {rival.returncode for rival in rivals} == {0}
    assert Counter(granted) == Counter(f"{id} 1" for id in wanted)


def test_processes_that_migrate_at_once(tmp_path: Path) -> None:
    """However many processes open an empty database at once, all find it migrated."""
    path = tmp_path / "folder" / "tasks.db"
    migrators = [_child("migrate", path) for _ in range(_MIGRATORS)]
    versions = [migrator.communicate()[0].strip() for migrator in migrators]
    assert {migrator.returncode for migrator in migrators} == {0}
    assert set(versions) == {str(len(migrations("sqlite")))}


def test_a_forked_process_is_told_that_the_store_is_closed(tmp_path: Path) -> None:
    """Threads don't survive a fork: a call there fails clearly instead of waiting for ever."""
    output, _ = _child("fork", tmp_path / "tasks.db").communicate(timeout=30)
    assert output == "store_closed\n"
