"""A PostgreSQL of the benchmarks' own, as the tests have one, but one that commits to the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.postgres.server import Server, running_server

#: What a server has that nobody has tuned, but for the connections of several clients at once.
SETTINGS = """
max_connections = 200
"""
#: Connections of each client at most, whichever: what our store has if nobody says.
CONNECTIONS = 10


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database on a server that ends with this."""
    with running_server(SETTINGS) as server:
        yield new_database(server)


def new_database(server: Server) -> str:
    """The URL of one more database, which nobody has migrated."""
    return server.url(server.new_database())
