"""Where tasks, generations and voices are kept: rows, compare-and-set and leases; no transitions.

:func:`open_task_store` makes a store from a URL. The classes themselves are
:class:`ttsorch.store.memory.MemoryTaskStore` and :class:`ttsorch.store.sqlite.SqliteTaskStore`; importing
this package imports neither, nor a database driver.
"""

from pathlib import Path
from typing import Protocol

import anyio.to_thread

from ttsorch.errors import ConfigurationError
from ttsorch.models import Clock
from ttsorch.protocols import TaskStore, VoiceStore
from ttsorch.store._clock import utc_now

__all__ = ["TaskAndVoiceStore", "migrate_task_store", "open_task_store"]

_SQLITE = "sqlite:///"
_EXPECTED = (
    "The database URL must be memory://, sqlite:///relative/path.db or sqlite:////absolute/path.db."
)


class TaskAndVoiceStore(TaskStore, VoiceStore, Protocol):
    """What every store in this package is."""


async def open_task_store(url: str, *, clock: Clock = utc_now) -> TaskAndVoiceStore:
    """The store that ``url`` names, ready for use; who opens it closes it.

    ``memory://`` forgets everything with the process. ``sqlite:///relative/path.db`` and
    ``sqlite:////absolute/path.db`` make the file and its folder where they are missing. ``clock`` stands
    in for the database's clock.

    Raises:
        ConfigurationError: ``url`` has another form. The message never repeats it.
        StorageUnavailable: the database can't be opened.
    """
    path = _sqlite_path(url)
    if path is None:
        from ttsorch.store.memory import MemoryTaskStore

        return MemoryTaskStore(clock=clock)
    from ttsorch.store.sqlite import SqliteTaskStore

    return await SqliteTaskStore.open(path, clock=clock)


async def migrate_task_store(url: str) -> int:
    """Bring the schema of the database up to date and return its version; 0 where there is no schema.

    Raises:
        ConfigurationError: as :func:`open_task_store`.
        SchemaTooNew: a newer ttsorch has migrated the database.
        StorageUnavailable: the database can't be opened.
    """
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
