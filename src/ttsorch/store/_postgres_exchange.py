"""Statements to a connection and their rows back, as one message and one transaction.

A cursor of the driver costs several times what the statement does in our process. For the few statements
that make up nearly all calls, its wrapper of libpq is used directly, in libpq's pipeline mode: the server
runs what comes before a sync as one transaction, commits at the sync, and answers in order.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import DataError, errors
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import DictRow

from ttsorch.store._postgres_session import Columns, Session
from ttsorch.store._sql import numbered, queries

#: As the server wants it, with the names of ``$1`` and so on. The driver would translate the longer ones
#: anew at each use, which takes as much time as all the rest.
NUMBERED: Mapping[str, tuple[bytes, Sequence[str]]] = {
    name: (text.encode(), parameters)
    for name, block in queries("postgres.sql").items()
    for text, parameters in (numbered(block),)
}
#: By PostgreSQL's number of the type: boolean, bigint, integer, text, double precision.
_READERS: Mapping[int, Callable[[bytes], Any]] = {
    16: b"t".__eq__,
    20: int,
    23: int,
    25: bytes.decode,
    701: float,
}


class Statement(NamedTuple):
    """``parameters`` as the server gets them, of so many bytes together."""

    name: str
    parameters: Sequence[bytes | None]
    size: int


def encoded(name: str, values: Mapping[str, object]) -> Statement:
    """
    Raises:
        UnicodeEncodeError, DataError: a text that PostgreSQL can't hold.
    """
    parameters = [_encoded(values[parameter]) for parameter in NUMBERED[name][1]]
    together = b"".join(filter(None, parameters))
    if b"\0" in together:
        raise DataError("text fields can't contain NUL")  # libpq would cut the text off there
    return Statement(name, parameters, len(together))


def _encoded(value: object) -> bytes | None:
    if value is None:
        return None
    return value.encode() if isinstance(value, str) else repr(value).encode()


async def exchange(
    session: Session, statements: Sequence[Statement]
) -> Sequence[Sequence[DictRow]]:
    """The rows of each statement, all of them committed.

    Raises:
        psycopg.Error: one failed and nothing is written, if the session is idle then. If it is not, the
            connection was lost, and nobody knows.
    """
    pgconn = session.pgconn
    answers = _Answers(pgconn)
    try:
        pgconn.enter_pipeline_mode()
        prepared = _send(session, statements)
        await answers.arrived()
        pgconn.exit_pipeline_mode()
    except BaseException:
        pgconn.finish()
        raise
    for name in prepared[: answers.prepared]:
        session.columns[name] = ()
    if answers.error is not None:
        raise answers.error
    pairs = zip(statements, answers.results, strict=True)
    return [_rows(session, statement.name, result) for statement, result in pairs]


def _send(session: Session, statements: Sequence[Statement]) -> Sequence[str]:
    """The names of those that are prepared on the way."""
    preparing: list[str] = []
    for name, parameters, _ in statements:
        if name not in session.columns and name not in preparing:
            session.pgconn.send_prepare(name.encode(), NUMBERED[name][0])
            preparing.append(name)
        session.pgconn.send_query_prepared(name.encode(), parameters)
    session.pgconn.pipeline_sync()
    return preparing


class _Answers:
    """What the server says until the sync."""

    def __init__(self, pgconn: PGconn) -> None:
        self.results: list[PGresult] = []
        self.prepared = 0
        #: Of the first statement that failed; the server passes over those after it.
        self.error: errors.Error | None = None
        self._pgconn = pgconn
        self._loop = asyncio.get_running_loop()
        self._complete: asyncio.Future[None] = self._loop.create_future()

    async def arrived(self) -> None:
        """
        Raises:
            psycopg.Error: the connection was lost before.
        """
        socket = self._pgconn.socket
        self._loop.add_reader(socket, self._attempt, self._receive)
        try:
            if self._pgconn.flush():
                self._loop.add_writer(socket, self._attempt, self._send_rest)
            await self._complete
        finally:
            self._loop.remove_reader(socket)
            self._loop.remove_writer(socket)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except errors.Error as error:
            if not self._complete.done():
                self._complete.set_exception(self.error or error)

    def _send_rest(self) -> None:
        if not self._pgconn.flush():
            self._loop.remove_writer(self._pgconn.socket)

    def _receive(self) -> None:
        self._pgconn.consume_input()
        while not self._complete.done() and not self._pgconn.is_busy():
            result = self._pgconn.get_result()
            if result is not None:
                self._note(result)
            elif self._pgconn.status == ConnStatus.BAD:
                raise errors.OperationalError(self._pgconn.get_error_message())

    def _note(self, result: PGresult) -> None:
        if result.status == ExecStatus.TUPLES_OK:
            self.results.append(result)
        elif result.status == ExecStatus.COMMAND_OK:
            self.prepared += 1
        elif result.status == ExecStatus.PIPELINE_SYNC:
            self._complete.set_result(None)
        elif self.error is None:
            self.error = errors.error_from_result(result)


def _rows(session: Session, name: str, result: PGresult) -> Sequence[DictRow]:
    columns = session.columns[name] or _columns(result)
    session.columns[name] = columns
    return [
        {
            column: None if (value := result.get_value(row, number)) is None else read(value)
            for number, (column, read) in enumerate(columns)
        }
        for row in range(result.ntuples)
    ]


def _columns(result: PGresult) -> Columns:
    return [
        ((result.fname(number) or b"").decode(), _READERS[result.ftype(number)])
        for number in range(result.nfields)
    ]
