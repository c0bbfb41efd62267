"""One connection in one thread of its own, which serves all calls that wait in one transaction.

A commit that reaches the disk costs the same for one statement as for a hundred, so under load the thread
commits for everybody at once. A savepoint around each call keeps them apart: one that fails takes nothing
of its neighbours with it.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

import anyio

from ttsorch.errors import StorageUnavailable
from ttsorch.store._sql import queries
from ttsorch.store._sqlite_file import retry_busy, unavailable
from ttsorch.store._wakeup import Schedule, running_loop

Result = TypeVar("Result")
Statements: TypeAlias = Callable[[sqlite3.Connection], Result]

_SQL = queries("sqlite.sql")
_COMMIT = _SQL["commit"]
_SAVEPOINT = _SQL["savepoint"]
_UNDO = _SQL["undo_to_savepoint"]
_RELEASE = _SQL["release_savepoint"]


class _Call(Generic[Result]):
    """Statements to run for a task that waits for them on its event loop."""

    __slots__ = ("_error", "_result", "answered", "schedule", "statements")

    def __init__(self, statements: Statements[Result]) -> None:
        self.statements = statements
        self.schedule = running_loop()
        self.answered = anyio.Event()
        self._result: Result
        self._error: Exception | None = None

    def succeed(self, connection: sqlite3.Connection) -> None:
        self._result = self.statements(connection)
        self._error = None

    def fail(self, error: Exception) -> None:
        self._error = error

    def outcome(self) -> Result:
        if isinstance(self._error, sqlite3.Error):
            raise unavailable(self._error) from self._error
        if self._error is not None:
            raise self._error
        return self._result


class SqliteThread:
    """Owns ``connection`` from now on. ``begin`` opens each transaction; while another process is in the
    way, a transaction is tried again for ``busy_seconds``."""

    def __init__(
        self, connection: sqlite3.Connection, *, begin: str, busy_seconds: float, name: str
    ) -> None:
        self._connection = connection
        self._begin = begin
        self._busy_seconds = busy_seconds
        self._queue: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        self._closing = False
        self._lock = threading.Lock()
        # A daemon, so that a host that never closes its store can still exit; WAL survives that.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, statements: Statements[Result]) -> Result:
        """Run ``statements`` inside a transaction and return what they returned, once it is committed.

        When this is cancelled the outcome is unknown: what is queued still runs. Since a transaction
        may be tried again, ``statements`` must not change anything but the database.

        Raises:
            StorageUnavailable: SQLite failed, the transaction was not committed; or code
                ``store_closed``. What ``statements`` itself raises comes through, its writes undone.
        """
        call = _Call(statements)
        self._enqueue(call)
        await call.answered.wait()
        return call.outcome()

    def stop(self) -> None:
        """Serve what is queued, then end. Returns at once; harmless when repeated."""
        with self._lock:
            if not self._closing:
                self._closing = True
                self._queue.put(None)

    def join(self) -> None:
        """Block until the thread has ended and its connection is closed."""
        self._thread.join()

    def _enqueue(self, call: _Call[Result]) -> None:
        with self._lock:
            # The thread is also gone in a process that was forked after opening the store.
            if self._closing or not self._thread.is_alive():
                raise StorageUnavailable("The task store is closed.", code="store_closed")
            self._queue.put(call)

    def _serve(self) -> None:
        try:
            while batch := self._take():
                self._answer(batch)
                _wake(batch)
        finally:
            self._connection.close()

    def _take(self) -> Sequence[_Call[Any]]:
        """Wait for a call, then take all that are there; empty when it is time to end."""
        batch: list[_Call[Any]] = []
        call = self._queue.get()
        try:
            while call is not None:
                batch.append(call)
                call = self._queue.get_nowait()
        except Empty:
            return batch
        if batch:
            self._queue.put(None)  # answer these first
        return batch

    def _answer(self, batch: Sequence[_Call[Any]]) -> None:
        try:
            retry_busy(lambda: self._transact(batch), self._busy_seconds)
        except Exception as error:  # noqa: BLE001 - raised again by outcome(), where the callers wait
            for call in batch:
                call.fail(error)

    def _transact(self, batch: Sequence[_Call[Any]]) -> None:
        try:
            self._connection.execute(self._begin)
            for call in batch:
                self._attempt(call)
            self._connection.execute(_COMMIT)
        finally:
            self._connection.rollback()  # nothing to do after a commit

    def _attempt(self, call: _Call[Any]) -> None:
        self._connection.execute(_SAVEPOINT)
        try:
            call.succeed(self._connection)
        except Exception as error:
            if not self._connection.in_transaction:
                raise  # SQLite undid the whole transaction by itself, as it does when the disk is full
            call.fail(error)
            self._connection.execute(_UNDO)
        self._connection.execute(_RELEASE)


def _wake(batch: Sequence[_Call[Any]]) -> None:
    """One message for each event loop, however many of its tasks wait."""
    waiting: dict[Schedule, list[anyio.Event]] = {}
    for call in batch:
        waiting.setdefault(call.schedule, []).append(call.answered)
    for schedule, events in waiting.items():
        try:
            schedule(partial(_set_all, events))
        except RuntimeError:
            pass  # that loop has ended, and nobody waits there any more


def _set_all(events: Sequence[anyio.Event]) -> None:
    for event in events:
        event.set()
