"""PostgreSQL passes the suites that backend authors run, unchanged."""

from collections.abc import AsyncIterator

import anyio
import pytest

from tests.postgres.conftest import check_nothing_is_left
from tests.postgres.server import Server
from tests.store.damage import DAMAGE
from ttsorch.store import postgres
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store import TaskStoreSuite
from ttsorch.testing.task_store_jobs import Advance
from ttsorch.testing.task_store_leases import LeaseCases
from ttsorch.testing.task_store_unreadable import Kind, Spoil, UnreadableRowsSuite
from ttsorch.testing.voice_store import VoiceStoreSuite


class TestPostgres(TaskStoreSuite):
    """On a clock that a test moves."""


class TestPostgresVoices(VoiceStoreSuite):
    """As above."""


class TestPostgresUnreadable(UnreadableRowsSuite):
    """Damaged by somebody else's connection."""

    @pytest.fixture
    def spoil(self, server: Server, database: str) -> Spoil:
        async def spoil(kind: Kind, id: str) -> None:
            statement = DAMAGE[kind].format(schema="ttsorch.").replace("?", "%s")
            server.ask(database, statement, id)

        return spoil


class TestPostgresOnItsOwnClock(LeaseCases):
    """What goes by a clock, on the server's, with real waiting."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    async def store(self, server: Server, database: str) -> AsyncIterator[PostgresTaskStore]:
        opened = await PostgresTaskStore.open(server.url(database))
        yield opened
        await opened.aclose()
        check_nothing_is_left(server, database, opened)

    @pytest.fixture
    def advance(self) -> Advance:
        return anyio.sleep


class TestPostgresInABacklog(LeaseCases):
    """The same work is handed out when so much is due that it is not sorted."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture(autouse=True)
    def _backlog(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres, "_MOST_SORTED", 1)
