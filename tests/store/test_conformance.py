"""Both stores of this package pass the suites that backend authors run."""

from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from ttsorch.models import Clock
from ttsorch.protocols import TaskStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.task_store import TaskStoreSuite
from ttsorch.testing.task_store_machine import TaskStoreMachine
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
