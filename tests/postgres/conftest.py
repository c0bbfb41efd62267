"""Stores on a real server. It starts when the first test asks for it, and ends with the test run."""

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from tests.postgres.server import Server, running_server
from tests.standing_clock import advance, clock
from ttsorch.store import migrate_task_store
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.clock import ManualClock

__all__ = ["advance", "clock"]


@pytest.fixture
def anyio_backend() -> str:
    """psycopg runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The name of a database that nobody has migrated."""
    name = server.new_database()
    yield name
    server.drop_database(name)


@pytest.fixture(scope="session")
def _migrated(server: Server) -> str:
    name = server.new_database()
    anyio.run(migrate_task_store, server.url(name))
    return name


@pytest.fixture
def database(server: Server, _migrated: str) -> str:
    """The name of a migrated database without a row."""
    server.ask(_migrated, "DELETE FROM ttsorch.tasks")
    server.ask(_migrated, "DELETE FROM ttsorch.generations")
    server.ask(_migrated, "DELETE FROM ttsorch.voices")
    server.ask(_migrated, "DELETE FROM ttsorch.effects")
    server.ask(_migrated, "DELETE FROM ttsorch.pauses")
    return _migrated


@pytest.fixture
def url(server: Server, database: str) -> str:
    return server.url(database)


@pytest.fixture
async def store(
    server: Server, database: str, clock: ManualClock
) -> AsyncIterator[PostgresTaskStore]:
    """On a clock that stands still until a test moves it; afterwards no connection is in use or left."""
    opened = await PostgresTaskStore.open(server.url(database), clock=clock)
    yield opened
    await opened.aclose()
    check_nothing_is_left(server, database, opened)


@pytest.fixture
async def workers(url: str) -> AsyncIterator[list[PostgresTaskStore]]:
    """Two stores on the server's own clock."""
    opened = [await PostgresTaskStore.open(url) for _ in range(2)]
    yield opened
    for store in opened:
        await store.aclose()


def check_nothing_is_left(server: Server, database: str, store: PostgresTaskStore) -> None:
    """After aclose no statement is under way, no connection is out, and the server has said good-bye."""
    assert not store._pool._under_way
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    for _ in range(1000):  # a server process needs a moment to go
        if server.ask(database, others, database) == [(0,)]:
            return
    raise AssertionError("a connection is left")
