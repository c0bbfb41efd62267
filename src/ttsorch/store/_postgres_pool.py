"""Runs statements on a pool of connections, each to its end, alone or with others that come at the moment.

A statement runs in an asyncio task of its own: who waits for it may be cancelled, the statement is not, and
its connection goes back to the pool in order. It is bounded three times: by the wait for a connection, by
the server's statement_timeout, and, should the server have vanished, by hanging up.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection, AsyncRawCursor, capabilities, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ttsorch.errors import StorageUnavailable
from ttsorch.models import Clock
from ttsorch.store._postgres_errors import CERTAINLY_UNDONE, closed, translated
from ttsorch.store._postgres_exchange import NUMBERED, Statement, encoded, exchange
from ttsorch.store._postgres_group_commit import GroupCommit, Undone
from ttsorch.store._postgres_hangup import hang_up, was_hung_up
from ttsorch.store._postgres_session import Session, configure, settings
from ttsorch.store._postgres_url import Target
from ttsorch.store._rows import to_microseconds
from ttsorch.store._server_clock import ServerClock
from ttsorch.store._sql import queries

Connection: TypeAlias = AsyncConnection[DictRow]
Values: TypeAlias = Mapping[str, object]
Rows: TypeAlias = Sequence[DictRow]
Result = TypeVar("Result")

_TRIES = 5
#: After these the server may be a standby by now, or about to end: another connection may do better.
_SUSPECT = (errors.ReadOnlySqlTransaction, errors.OperatorIntervention)
#: Between the server's own limit and hanging up.
_GRACE_SECONDS = 2.0
_CLOSE_SECONDS = 5.0

_SQL: Mapping[str, bytes] = {
    name: block.encode() for name, block in queries("postgres.sql").items()
}
#: Before the statements of a batch: who'd have to wait longer for a lock waits for it alone.
_IMPATIENT = encoded("wait_for_locks", {"lock_timeout": "50"})


class PostgresPool:
    """Made by :meth:`open`, on the event loop that it will serve. ``clock`` is None, or a test's clock in
    place of the server's."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Session],
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
        self._shares = not pooled and capabilities.has_pipeline()
        self._wait_seconds = wait_seconds
        self._statement_seconds = statement_seconds
        self._under_way: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._closer: asyncio.Task[None] | None = None
        self._group = GroupCommit(self._alone, self._together, self._spawn)

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
        pool: AsyncConnectionPool[Session] = AsyncConnectionPool(
            target.conninfo,
            connection_class=Session,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                **({"prepare_threshold": None} if pooled else settings(target, statement_seconds)),
            },
            configure=configure,
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

    async def run(self, name: str, values: Values, *, after: Sequence[str] = ()) -> Rows:
        """The rows of the named statement, committed; with ``after``, in one transaction with
        those, which go before.

        When this is cancelled the outcome is unknown: the statement still runs.

        Raises:
            StorageUnavailable: it failed, or nobody knows; or code ``store_closed``, nothing was run.
        """
        self._check_open()
        task = self._spawn(self._run(partial(self._execute, names=[*after, name], values=values)))
        await asyncio.wait((task,))
        with translated():
            return task.result()

    async def share(self, name: str, values: Values, *, turn: str) -> Rows:
        """As :meth:`run`, for a statement on one task that is made often. Made at the same moment, several
        share a transaction, ordered by ``turn``, and a failure of one is still its own."""
        if not self._shares:
            return await self.run(name, values)
        self._check_open()
        with translated():
            return await self._group.run(encoded(name, {**values, "clock": self._now()}), turn)

    def _check_open(self) -> None:
        if self._closer is not None or os.getpid() != self._process:
            raise closed()
        if asyncio.get_running_loop() is not self._loop:
            raise StorageUnavailable(
                "The task store belongs to another event loop.", code="wrong_event_loop"
            )

    def _spawn(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        task = self._loop.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

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
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self._pool.close(timeout=_CLOSE_SECONDS)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, though nobody may be waiting for it any more

    async def _alone(self, statement: Statement) -> Rows:
        return (await self._run(partial(self._exchange, statements=[statement])))[0]

    async def _together(self, statements: Sequence[Statement]) -> Sequence[Rows]:
        return await self._attempt(partial(self._guess, statements=statements))

    async def _run(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        for _ in range(_TRIES - 1):
            try:
                return await self._attempt(work)
            except CERTAINLY_UNDONE:
                continue
        return await self._attempt(work)

    async def _attempt(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        session = await self._borrow()
        try:
            return await work(session)
        except _SUSPECT:
            await session.close()
            raise
        finally:
            await self._pool.putconn(session)

    async def _borrow(self) -> Session:
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
            if not was_hung_up(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    def _failures(self) -> int:
        return self._pool.get_stats().get("connections_errors", 0)

    async def _guess(self, session: Session, statements: Sequence[Statement]) -> Sequence[Rows]:
        try:
            return (await self._exchange(session, [_IMPATIENT, *statements]))[1:]
        except psycopg.Error as error:
            if session.pgconn.transaction_status == TransactionStatus.IDLE:
                raise Undone from error
            raise

    async def _exchange(self, session: Session, statements: Sequence[Statement]) -> Sequence[Rows]:
        with self._bounded(session, 1):
            sent = self._server_clock.read()
            answers = await exchange(session, statements)
            self._learn(answers, sent)
        return answers

    async def _execute(self, session: Session, names: Sequence[str], values: Values) -> Rows:
        if self._pooled:
            names = ["bound_statement", *names]
            milliseconds = f"{self._statement_seconds * 1000:.0f}"
            values = {**values, "statement_timeout": milliseconds, "lock_timeout": "0"}
        with self._bounded(session, len(names)):
            sent = self._server_clock.read()
            rows = await _fetch(session, names, {**values, "clock": self._now()})
            self._learn([rows], sent)
        return rows

    @contextmanager
    def _bounded(self, session: Session, statements: int) -> Iterator[None]:
        seconds = statements * self._statement_seconds + _GRACE_SECONDS
        watchdog = self._loop.call_later(seconds, hang_up, session)
        try:
            yield
        finally:
            watchdog.cancel()

    def _now(self) -> int | None:
        return None if self._given_clock is None else to_microseconds(self._given_clock())

    def _learn(self, answers: Sequence[Rows], sent: int) -> None:
        """What the server's clock showed last."""
        received = self._server_clock.read()
        times = [rows[0]["asked_at"] for rows in answers if rows and "asked_at" in rows[0]]
        if times and self._given_clock is None:
            self._server_clock.observe(times[-1], sent=sent, received=received)


async def _fetch(connection: Connection, names: Sequence[str], values: Values) -> Rows:
    """The rows of the last statement. Several go as one message, which makes them one transaction."""
    if len(names) == 1:
        text, parameters = NUMBERED[names[0]]
        async with AsyncRawCursor(connection, row_factory=dict_row) as one:
            await one.execute(text, [values[parameter] for parameter in parameters])
            return await one.fetchall()
    async with AsyncClientCursor(connection, row_factory=dict_row) as several:
        await several.execute(b"\n".join(_SQL[name] for name in names), values)
        while several.nextset():
            pass
        return await several.fetchall()
