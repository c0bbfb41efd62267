"""The first connection: who is there, and is the schema what this version needs."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.rows import DictRow, dict_row

from ttsorch.errors import ConfigurationError, SchemaTooNew, StorageUnavailable
from ttsorch.store._postgres_errors import translated
from ttsorch.store._postgres_pool import Connection
from ttsorch.store._postgres_url import Target, read_url
from ttsorch.store._server_clock import ServerClock, monotonic_microseconds
from ttsorch.store._sql import migrations, queries

#: Nine of ten processes that start together wait for the tenth.
_MIGRATION_SECONDS = 300.0
#: How long a migration may hold up others while it waits for a table. It then fails, and can be repeated.
_LOCK_SECONDS = 10.0

_SQL: Mapping[str, bytes] = {
    name: block.encode() for name, block in queries("postgres.sql").items()
}
_MIGRATIONS = migrations("postgres")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the first answer says."""

    clock: ServerClock
    pooled: bool


@dataclass(frozen=True, slots=True)
class _Schema:
    """``version`` is 0 where there is none; ``readable_from``: see the first migration."""

    version: int
    readable_from: int


@asynccontextmanager
async def first_connection(target: Target) -> AsyncIterator[Connection]:
    """A connection that takes whatever is there, a pooler too.

    Raises:
        ConfigurationError: this is no asyncio event loop.
        StorageUnavailable: nothing is there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "The PostgreSQL task store runs on asyncio only: its driver does."
        ) from None
    connection = await _connect(target)
    with translated():
        async with connection:
            yield connection


async def _connect(target: Target) -> Connection:
    try:
        with translated():
            return await AsyncConnection.connect(
                target.conninfo,
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
                cursor_factory=AsyncClientCursor,
            )
    except StorageUnavailable as error:
        # Where a URL is badly encoded, a part of its password may be taken for a host, and told as such.
        raise error from None


async def greet(connection: Connection, target: Target) -> Greeting:
    """
    Raises:
        ConfigurationError: the database is not in UTF-8.
    """
    sent = monotonic_microseconds()
    row = await _one(connection, "greeting", {"clock": None})
    received = monotonic_microseconds()
    if row["encoding"] != "UTF8":
        raise ConfigurationError("The database must be in the encoding UTF8.")
    made_up = row["backend"] != connection.info.backend_pid
    return Greeting(
        clock=ServerClock(row["asked_at"], sent=sent, received=received),
        pooled=made_up if target.pooler is None else target.pooler,
    )


async def migrate_database(url: str, *, connect_seconds: float = 5.0) -> int:
    """Bring the schema of the database up to date; the version that it then has.

    Raises:
        ConfigurationError, SchemaTooNew, StorageUnavailable: as
            :meth:`~ttsorch.store.postgres.PostgresTaskStore.open`.
    """
    target = read_url(url, connect_seconds=connect_seconds)
    async with first_connection(target) as connection:
        await greet(connection, target)
        return await migrate(connection)


async def migrate(connection: Connection) -> int:
    """Apply the missing migrations, each in a transaction of its own; others may do the same at once.

    Returns:
        The version of the schema. It may be newer than ours, made by one that keeps ours working.

    Raises:
        SchemaTooNew: a newer ttsorch has migrated the database beyond what this one can use.
    """
    schema = await _read_schema(connection)
    while schema.version < len(_MIGRATIONS):
        async with connection.transaction():
            await _wait_for_our_turn(connection)
            schema = await _read_schema(connection)
            if schema.version < len(_MIGRATIONS):
                await connection.execute(_MIGRATIONS[schema.version].encode())
                schema = await _read_schema(connection)
    if schema.readable_from > len(_MIGRATIONS):
        raise SchemaTooNew(
            f"The database has schema version {schema.version}, which needs a ttsorch that knows version "
            f"{schema.readable_from}; this one knows versions up to {len(_MIGRATIONS)}. "
            "Upgrade ttsorch to use it."
        )
    return schema.version


async def _wait_for_our_turn(connection: Connection) -> None:
    await _bound(connection, lock_seconds=0)
    await _one(connection, "begin_migration", {})
    await _bound(connection, lock_seconds=_LOCK_SECONDS)


async def _bound(connection: Connection, *, lock_seconds: float) -> None:
    bounds = {
        "statement_timeout": f"{_MIGRATION_SECONDS * 1000:.0f}",
        "lock_timeout": f"{lock_seconds * 1000:.0f}",
    }
    await _one(connection, "bound_statement", bounds)


async def _read_schema(connection: Connection) -> _Schema:
    if not (await _one(connection, "has_schema", {}))["there"]:
        return _Schema(version=0, readable_from=0)
    row = await _one(connection, "schema_version", {})
    return _Schema(version=row["version"] or 0, readable_from=row["readable_from"] or 0)


async def _one(connection: Connection, name: str, values: Mapping[str, object]) -> DictRow:
    cursor = await connection.execute(_SQL[name], values)
    row = await cursor.fetchone()
    if row is None:
        raise StorageUnavailable(detail=f"no answer to {name}")
    return row
