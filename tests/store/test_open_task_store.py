"""Stores by URL."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ttsorch.errors import ConfigurationError
from ttsorch.store import migrate_task_store, open_task_store
from ttsorch.store._sql import migrations
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_memory() -> None:
    """memory:// opens a store that lives in this process, on the clock it is given."""
    clock = ManualClock()
    store = await open_task_store("memory://", clock=clock)
    assert isinstance(store, MemoryTaskStore)
    assert store.now() == clock()
    assert await migrate_task_store("memory://") == 0


async def test_sqlite_absolute(tmp_path: Path) -> None:
    """Four slashes open an absolute path, making its folder, on the clock given."""
    path, clock = tmp_path / "new" / "folder" / "tasks.db", ManualClock()
    store = await open_task_store(f"sqlite:///{path}", clock=clock)
    assert isinstance(store, SqliteTaskStore)
    assert store.now() == clock()
    await store.aclose()
    assert path.exists()


async def test_sqlite_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes open a path from the working directory."""
    monkeypatch.chdir(tmp_path)
    store = await open_task_store("sqlite:///data/tasks.db")
    await store.aclose()
    assert (tmp_path / "data" / "tasks.db").exists()


async def test_the_default_clock_is_this_machines() -> None:
    """Without a clock a store goes by the wall clock, in UTC."""
    store = await open_task_store("memory://")
    before = datetime.now(UTC)
    assert before <= store.now() <= datetime.now(UTC)
    assert store.now().tzinfo is UTC


async def test_migrate_returns_the_version(tmp_path: Path) -> None:
    """Migrating makes the file if need be and says its version; doing it again changes nothing."""
    url = f"sqlite:///{tmp_path}/tasks.db"
    assert [await migrate_task_store(url), await migrate_task_store(url)] == [
        len(migrations("sqlite"))
    ] * 2


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite",
        "sqlite://tasks.db",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///tasks.db?mode=ro",
        "mysql://user:hunter2@host/db",
        "hunter2",
    ],
)
async def test_other_urls_are_refused(url: str) -> None:
    """The error names the forms that are expected, and never what was given."""
    for call in (open_task_store, migrate_task_store):
        with pytest.raises(ConfigurationError, match=r"sqlite:///relative/path\.db") as refusal:
            await call(url)
        assert "hunter2" not in f"{refusal.value} {refusal.value.detail}"
        assert "memory://" in refusal.value.message


def test_importing_the_package_imports_no_driver() -> None:
    """Who doesn't use SQLite doesn't pay for importing it."""
    code = "import sys, ttsorch.store; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
