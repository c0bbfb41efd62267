"""Where tasks, generations and voices are kept: rows, compare-and-set and leases; no transitions.

:func:`open_task_store` makes a store from a URL. The classes themselves are
:class:`ttsorch.store.memory.MemoryTaskStore`, :class:`ttsorch.store.sqlite.SqliteTaskStore` and
:class:`ttsorch.store.postgres.PostgresTaskStore`; importing this package imports none of them, nor a
database driver.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from ttsorch.errors import ConfigurationError
from ttsorch.models import Clock
from ttsorch.protocols import TaskStore, VoiceStore
from ttsorch.store._clock import utc_now

__all__ = ["TaskAndVoiceStore", "migrate_task_store", "open_task_store"]

_SQLITE = "sqlite:///"
_POSTGRES = ("postgresql://", "postgres://")
_EXPECTED = (
    "The database URL must be memory://, sqlite:///relative/path.db, sqlite:////absolute/path.db or "
    "postgresql://user:password@host:port/database."
)


class TaskAndVoiceStore(TaskStore, VoiceStore, Protocol):
    """What every store in this package is."""


async def open_task_store(url: str, *, clock: Clock | None = None) -> TaskAndVoiceStore:
    """The store that ``url`` names, ready for use; who opens it closes it.

    ``memory://`` forgets everything with the process. ``sqlite:///relative/path.db`` and
    ``sqlite:////absolute/path.db`` make the file and its folder where they are missing. ``postgresql://``
    and ``postgres://`` need the extra ``postgres``, and asyncio. ``clock`` stands in for the database's
    clock: a server's own, else this machine's.

    Raises:
        ConfigurationError: ``url`` has another form, or the extra is missing. The message never repeats
            the URL.
        StorageUnavailable: the database can't be opened.
    """
    if url.startswith(_POSTGRES):
        with _needing_the_driver():
            from ttsorch.store.postgres import PostgresTaskStore

        return await PostgresTaskStore.open(url, clock=clock)
    path = _sqlite_path(url)
    if path is None:
        from ttsorch.store.memory import MemoryTaskStore

        return MemoryTaskStore(clock=clock or utc_now)
    from ttsorch.store.sqlite import SqliteTaskStore

    return await SqliteTaskStore.open(path, clock=clock or utc_now)


async def migrate_task_store(url: str) -> int:
    """Bring the schema of the database up to date and return its version; 0 where there is no schema.

    Raises:
        ConfigurationError: as :func:`open_task_store`.
        SchemaTooNew: a newer ttsorch has migrated the database.
        StorageUnavailable: the database can't be opened.
    """
    if url.startswith(_POSTGRES):
        with _needing_the_driver():
            from ttsorch.store._postgres_schema import migrate_database

        return await migrate_database(url)
    path = _sqlite_path(url)
    if path is None:
        return 0
    from ttsorch.store._sqlite_file import migrate_file

    return await anyio.to_thread.run_sync(migrate_file, path)


def _sqlite_path(url: str) -> Path | None:
    """The file that a ``sqlite:`` URL names; None for ``memory://``."""
    if url == "memory://":
        return None
    path = url.removeprefix(_SQLITE)
    if path in (url, "", ":memory:") or "?" in path:
        raise ConfigurationError(_EXPECTED)
    return Path(path)


@contextmanager
def _needing_the_driver() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigurationError(
            "A PostgreSQL database needs the driver: pip install 'ttsorch[postgres]'.",
            code="extra_missing",
        ) from error
