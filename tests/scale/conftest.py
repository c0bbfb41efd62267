"""Databases that many processes can open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.server import Server, running_server


@pytest.fixture
def anyio_backend() -> str:
    """psycopg runs on asyncio only."""
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def postgres(server: Server) -> Iterator[str]:
    """The URL of an empty database."""
    name = server.new_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of a file that isn't there yet."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """Both of them, one after the other."""
    url: str = request.getfixturevalue(request.param)
    return url
