"""Opening a SQLite file: its pragmas, its functions, its schema. Blocking; runs in a worker thread."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from ttsorch.errors import ConfigurationError, SchemaTooNew, StorageUnavailable
from ttsorch.store._sql import migrations, queries

Result = TypeVar("Result")

#: RETURNING came with 3.35.
_OLDEST = (3, 35, 0)
#: Between two tries where SQLite refuses at once instead of waiting.
_PAUSE_SECONDS = 0.01
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQL = queries("sqlite.sql")
_MIGRATIONS = migrations("sqlite")


def retry_busy(attempt: Callable[[], Result], seconds: float) -> Result:
    """``attempt()``, again while another connection is in the way, for ``seconds``.

    SQLite's own busy timeout covers most waits; it refuses at once where waiting could deadlock (taking
    a file to WAL, recovery after a crash).
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if primary_code(error) not in _BUSY or time.monotonic() >= give_up:
                raise
        time.sleep(_PAUSE_SECONDS)


def unavailable(error: sqlite3.Error) -> StorageUnavailable:
    """Only the error's name goes along: SQLite's messages may quote what they choke on."""
    return StorageUnavailable(detail=getattr(error, "sqlite_errorname", type(error).__name__))


@contextmanager
def opening() -> Iterator[None]:
    """
    Raises:
        StorageUnavailable: instead of what the operating system or SQLite raise inside.
    """
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(detail=f"opening the database: {error.strerror}") from error
    except sqlite3.Error as error:
        raise unavailable(error) from error


def migrate_file(path: Path, busy_seconds: float = 5.0) -> int:
    """Make the file, or bring its schema up to date; the version that it then has.

    Raises:
        SchemaTooNew: a newer ttsorch has migrated the file.
        StorageUnavailable: the file can't be opened.
    """
    with opening():
        create_file(path)
        with closing(connect(path, busy_seconds)) as connection:
            prepare_writer(connection, busy_seconds)
            return schema_version(connection)


def primary_code(error: sqlite3.Error) -> int:
    """The low byte of an extended result code; -1 for errors of the Python module itself."""
    code: int = getattr(error, "sqlite_errorcode", -1)
    return code if code < 0 else code & 0xFF


def create_file(path: Path) -> None:
    """Make the folder and an empty file that only its owner may read: it holds people's texts.

    SQLite gives the same mode to the files that it puts beside it. An existing file is not even opened:
    closing it again would drop the locks of this process's other connections (POSIX locks work so).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection without implicit transactions, whose rows are dicts.

    Raises:
        ConfigurationError: this Python's SQLite is too old.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise ConfigurationError(
            f"SQLite 3.35 or newer is needed; this Python has {sqlite3.sqlite_version}."
        )
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, then used by one other
    )
    connection.row_factory = _as_dict
    connection.create_function("casefold", 1, str.casefold, deterministic=True)
    return connection


def _as_dict(cursor: sqlite3.Cursor, row: tuple[object, ...]) -> dict[str, object]:
    # sqlite3.Row looks a name up by scanning all columns, which shows on rows as wide as ours.
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


def prepare_writer(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Bring the file to WAL and to the newest schema, and make this connection's commits durable.

    Raises:
        SchemaTooNew: a newer ttsorch has migrated the file.
    """
    refuse_newer(connection)
    retry_busy(partial(_use_wal, connection), busy_seconds)
    connection.execute(_SQL["synchronous_full"])
    connection.execute(_SQL["enforce_foreign_keys"])
    migrate(connection)


def prepare_reader(connection: sqlite3.Connection) -> None:
    connection.execute(_SQL["refuse_writes"])


def schema_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute(_SQL["schema_version"]).fetchone()["user_version"]
    return version


def refuse_newer(connection: sqlite3.Connection) -> None:
    """
    Raises:
        SchemaTooNew: a newer ttsorch has migrated this file.
    """
    found, known = schema_version(connection), len(_MIGRATIONS)
    if found > known:
        raise SchemaTooNew(
            f"The database has schema version {found}, but this ttsorch knows versions up to {known}. "
            "Upgrade ttsorch to use it."
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations, each in a transaction of its own; others may do the same at once."""
    for number, script in enumerate(_MIGRATIONS, start=1):
        try:
            connection.execute(_SQL["begin_write"])
            if schema_version(connection) < number:
                for statement in _statements(script):
                    connection.execute(statement)
            connection.execute(_SQL["commit"])
        finally:
            connection.rollback()
    refuse_newer(connection)


def _statements(script: str) -> list[str]:
    """``executescript`` would commit the transaction that a migration has to run in."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def _use_wal(connection: sqlite3.Connection) -> None:
    if connection.execute(_SQL["journal_mode"]).fetchone()["journal_mode"] != "wal":
        connection.execute(_SQL["use_wal"])
