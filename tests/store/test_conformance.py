"""Both stores of this package pass the suites that backend authors run."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.store.damage import DAMAGE
from ttsorch.models import Clock
from ttsorch.protocols import TaskStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.task_store import TaskStoreSuite
from ttsorch.testing.task_store_machine import TaskStoreMachine
from ttsorch.testing.task_store_unreadable import Kind, Spoil, UnreadableRowsSuite
from ttsorch.testing.voice_store import VoiceStoreSuite


class TestMemory(TaskStoreSuite):
    @pytest.fixture
    def store(self, memory_store: MemoryTaskStore) -> MemoryTaskStore:
        return memory_store


class TestMemoryVoices(VoiceStoreSuite):
    @pytest.fixture
    def store(self, memory_store: MemoryTaskStore) -> MemoryTaskStore:
        return memory_store


class TestSqlite(TaskStoreSuite):
    @pytest.fixture
    def store(self, sqlite_store: SqliteTaskStore) -> SqliteTaskStore:
        return sqlite_store


class TestSqliteVoices(VoiceStoreSuite):
    @pytest.fixture
    def store(self, sqlite_store: SqliteTaskStore) -> SqliteTaskStore:
        return sqlite_store


class TestMemoryUnreadable(UnreadableRowsSuite):
    @pytest.fixture
    def store(self, memory_store: MemoryTaskStore) -> MemoryTaskStore:
        return memory_store

    @pytest.fixture
    def spoil(self, memory_store: MemoryTaskStore) -> Spoil:
        async def spoil(kind: Kind, id: str) -> None:
            memory_store.spoil(id)

        return spoil


class TestSqliteUnreadable(UnreadableRowsSuite):
    @pytest.fixture
    def store(self, sqlite_store: SqliteTaskStore) -> SqliteTaskStore:
        return sqlite_store

    @pytest.fixture
    def spoil(self, sqlite_store: SqliteTaskStore, tmp_path: Path) -> Spoil:
        async def spoil(kind: Kind, id: str) -> None:
            with closing(sqlite3.connect(tmp_path / "tasks.db")) as db:
                db.execute(DAMAGE[kind].format(schema=""), [id])
                db.commit()

        return spoil


class _MemoryMachine(TaskStoreMachine):
    async def open_store(self, clock: Clock) -> TaskStore:
        return MemoryTaskStore(clock=clock)


class _SqliteMachine(TaskStoreMachine):
    async def open_store(self, clock: Clock) -> TaskStore:
        folder = self.resources.enter_context(TemporaryDirectory())
        return await SqliteTaskStore.open(f"{folder}/tasks.db", clock=clock)


_SETTINGS = settings(max_examples=50, stateful_step_count=30)

TestMemoryMachine = _MemoryMachine.TestCase
TestMemoryMachine.settings = _SETTINGS
TestSqliteMachine = _SqliteMachine.TestCase
TestSqliteMachine.settings = _SETTINGS
