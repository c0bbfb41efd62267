"""Runs one statement after another on a pool of connections, each to its end.

A statement runs in an asyncio task of its own: who waits for it may be cancelled, the statement is not, and
its connection goes back to the pool in order. It is bounded three times: by the wait for a connection, by
the server's statement_timeout, and, should the server have vanished, by hanging up.
"""

import asyncio
import os
import select
import socket
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from psycopg import AsyncClientCursor, AsyncConnection, AsyncRawCursor, errors
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ttsorch.errors import StorageUnavailable
from ttsorch.models import Clock
from ttsorch.store._postgres_errors import CERTAINLY_UNDONE, closed, translated
from ttsorch.store._postgres_url import Target
from ttsorch.store._rows import to_microseconds
from ttsorch.store._server_clock import ServerClock
from ttsorch.store._sql import numbered, queries

Connection: TypeAlias = AsyncConnection[DictRow]
Values: TypeAlias = Mapping[str, object]

_TRIES = 5
#: After these the server may be a standby by now, or about to end: another connection may do better.
_SUSPECT = (errors.ReadOnlySqlTransaction, errors.OperatorIntervention)
#: Between the server's own limit and hanging up.
_GRACE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0

_SQL: Mapping[str, bytes] = {
    name: block.encode() for name, block in queries("postgres.sql").items()
}
#: The same as the server wants it. The driver would translate the longer ones anew at each use, which takes
#: as much time as all the rest.
_NUMBERED: Mapping[str, tuple[bytes, Sequence[str]]] = {
    name: (text.encode(), parameters)
    for name, block in queries("postgres.sql").items()
    for text, parameters in (numbered(block),)
}


class _Untyped(Dumper):
    """A number without a type, as psycopg sends strings: the server knows what it needs. The driver would
    choose among three integer types by value, and each choice would be a prepared statement of its own."""

    format = Format.TEXT
    oid = 0

    def dump(self, obj: object) -> bytes:
        return repr(obj).encode()


class PostgresPool:
    """Made by :meth:`open`, on the event loop that it will serve. ``clock`` is None, or a test's clock in
    place of the server's."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        server_clock: ServerClock,
        *,
        clock: Clock | None,
        pooled: bool,
        wait_seconds: float,
        statement_seconds: float,
    ) -> None:
        self._pool = pool
        self._server_clock = server_clock
        self.clock: Clock = clock or server_clock.now
        self._given_clock = clock
        self._pooled = pooled
        self._wait_seconds = wait_seconds
        self._statement_seconds = statement_seconds
        self._under_way: set[asyncio.Task[Sequence[DictRow]]] = set()
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._closer: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        target: Target,
        server_clock: ServerClock,
        *,
        clock: Clock | None,
        pooled: bool,
        wait_seconds: float,
        statement_seconds: float,
    ) -> "PostgresPool":
        """
        Args:
            pooled: between us and the server is a pooler, which may give us another session with each
                statement: nothing is prepared or set for longer than a statement.

        Raises:
            StorageUnavailable: there is no connection in time.
        """
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            target.conninfo,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                **({"prepare_threshold": None} if pooled else _session(target, statement_seconds)),
            },
            configure=_configure,
            min_size=1,
            max_size=target.pool_size,
            timeout=wait_seconds,
            reconnect_timeout=wait_seconds,
            open=False,
        )
        with translated():
            await pool.open(wait=True, timeout=wait_seconds)
        return cls(
            pool,
            server_clock,
            clock=clock,
            pooled=pooled,
            wait_seconds=wait_seconds,
            statement_seconds=statement_seconds,
        )

    async def run(
        self, name: str, values: Values, *, after: Sequence[str] = ()
    ) -> Sequence[DictRow]:
        """The rows of the named statement, committed; with ``after``, in one transaction with
        those, which go before.

        When this is cancelled the outcome is unknown: the statement still runs.

        Raises:
            StorageUnavailable: it failed, or nobody knows; or code ``store_closed``, nothing was run.
        """
        if self._closer is not None or os.getpid() != self._process:
            raise closed()
        if asyncio.get_running_loop() is not self._loop:
            raise StorageUnavailable(
                "The task store belongs to another event loop.", code="wrong_event_loop"
            )
        task = self._loop.create_task(self._run(name, values, after))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task,))
        return task.result()

    async def aclose(self) -> None:
        """Wait for what is under way, then close the connections. Harmless when repeated."""
        if os.getpid() != self._process:
            return  # the connections are our parent's
        # Begun before the first await, so that it ends even if this is cancelled.
        if self._closer is None:
            self._closer = self._loop.create_task(self._close())
        await asyncio.wait((self._closer,))
        self._closer.result()

    async def _close(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.close(timeout=_CLOSE_SECONDS)

    def _ended(self, task: asyncio.Task[Sequence[DictRow]]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, though nobody may be waiting for it any more

    async def _run(self, name: str, values: Values, after: Sequence[str]) -> Sequence[DictRow]:
        with translated():
            for _ in range(_TRIES - 1):
                try:
                    return await self._attempt(name, values, after)
                except CERTAINLY_UNDONE:
                    continue
            return await self._attempt(name, values, after)

    async def _attempt(self, name: str, values: Values, after: Sequence[str]) -> Sequence[DictRow]:
        connection = await self._borrow()
        try:
            return await self._execute(connection, name, values, after)
        except _SUSPECT:
            await connection.close()
            raise
        finally:
            await self._pool.putconn(connection)

    async def _borrow(self) -> Connection:
        """A connection that the server has not closed, as far as that is known without asking it."""
        give_up = self._loop.time() + self._wait_seconds
        failures = self._failures()
        while True:
            try:
                connection = await self._pool.getconn(timeout=give_up - self._loop.time())
            except PoolTimeout as error:
                what = "database reached" if self._failures() > failures else "connection free"
                raise StorageUnavailable(
                    detail=f"no {what} within {self._wait_seconds:g} s"
                ) from error
            if not _was_hung_up(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    def _failures(self) -> int:
        return self._pool.get_stats().get("connections_errors", 0)

    async def _execute(
        self, connection: Connection, name: str, values: Values, after: Sequence[str]
    ) -> Sequence[DictRow]:
        now = None if self._given_clock is None else to_microseconds(self._given_clock())
        names = [*after, name]
        if self._pooled:
            names.insert(0, "bound_statement")
            milliseconds = f"{self._statement_seconds * 1000:.0f}"
            values = {**values, "statement_timeout": milliseconds, "lock_timeout": "0"}
        seconds = len(names) * self._statement_seconds + _GRACE_SECONDS
        watchdog = self._loop.call_later(seconds, _hang_up, connection)
        try:
            sent = self._server_clock.read()
            rows = await _fetch(connection, names, {**values, "clock": now})
            received = self._server_clock.read()
        finally:
            watchdog.cancel()
        if now is None and rows and "asked_at" in rows[0]:
            self._server_clock.observe(rows[0]["asked_at"], sent=sent, received=received)
        return rows


async def _fetch(connection: Connection, names: Sequence[str], values: Values) -> Sequence[DictRow]:
    """The rows of the last statement. Several go as one message, which makes them one transaction."""
    if len(names) == 1:
        text, parameters = _NUMBERED[names[0]]
        async with AsyncRawCursor(connection, row_factory=dict_row) as one:
            await one.execute(text, [values[parameter] for parameter in parameters])
            return await one.fetchall()
    async with AsyncClientCursor(connection, row_factory=dict_row) as several:
        await several.execute(b"\n".join(_SQL[name] for name in names), values)
        while several.nextset():
            pass
        return await several.fetchall()


def _session(target: Target, statement_seconds: float) -> Mapping[str, Any]:
    """Settings of a session of our own; the URL's own options come last, and so win."""
    milliseconds = f"{statement_seconds * 1000:.0f}"
    ours = (
        f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
        r" -c default_transaction_isolation=read\ committed"
    )
    return {"options": f"{ours} {target.options}".strip()}


async def _configure(connection: Connection) -> None:
    for kind in (int, float, bool):
        connection.adapters.register_dumper(kind, _Untyped)


def _was_hung_up(connection: Connection) -> bool:
    """Whether there is something to read: at rest, that is a server that says good-bye, or is gone."""
    if connection.closed:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    at_rest = select.poll()  # select() itself takes no file descriptor above 1023
    at_rest.register(connection.fileno(), select.POLLIN)
    return bool(at_rest.poll(0))


def _hang_up(connection: Connection) -> None:
    """End the wait for an answer. Unlike a cancellation, this asks nothing of the network."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
