"""Calls that come while others are on their way wait for them, and then share one message and one commit.

The first goes at once; what comes while some are under way is gathered. Under load that saves most of what
a call costs, in our process and in the server's. Together is a guess that nothing will go wrong: when
something does, the server has undone the whole, and each call is made again by itself, as if it had come
alone. So no call can fail another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from psycopg.rows import DictRow

from ttsorch.store._postgres_exchange import Statement

Rows: TypeAlias = Sequence[DictRow]

#: Batches under way at which calls wait for one to end.
_LANES = 4
#: A batch that takes longer waits for something else than its turn, and is not waited for.
_PATIENCE_SECONDS = 0.01
#: A batch holds its rows until it is committed, so it must not be cut in two by a process that stands
#: still: it is no more than a socket takes at once.
_MOST_CALLS = 32
_MOST_BYTES = 32 * 1024


class Undone(Exception):
    """The server took back all that a batch did. The cause says why."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    statement: Statement
    turn: str
    answer: "asyncio.Future[Rows]"

    def succeed(self, rows: Rows) -> None:
        if not self.answer.done():  # nobody may be waiting for it any more
            self.answer.set_result(rows)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # seen, even if who waits is cancelled now


class GroupCommit:
    """
    Args:
        alone: makes one call, whatever it takes.
        together: makes several in one transaction, or raises :class:`Undone`.
        spawn: runs something that nobody can cancel and that is waited for before the store closes.
    """

    def __init__(
        self,
        alone: Callable[[Statement], Awaitable[Rows]],
        together: Callable[[Sequence[Statement]], Awaitable[Sequence[Rows]]],
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._alone = alone
        self._together = together
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Call] = deque()
        self._starting = False
        self._under_way: set[object] = set()

    async def run(self, statement: Statement, turn: str) -> Rows:
        """The rows of ``statement``, committed. Cancelling this leaves the statement to run.

        Args:
            turn: batches lock in the order of this, so that no two wait for each other.

        Raises:
            psycopg.Error, StorageUnavailable: as when it had been made alone; or the connection was lost
                with the whole batch, and the outcome is unknown.
        """
        call = _Call(statement, turn, self._loop.create_future())
        self._waiting.append(call)
        self._go()
        return await call.answer

    def _go(self) -> None:
        if self._waiting and not self._starting and len(self._under_way) < _LANES:
            self._starting = True
            self._spawn(self._serve())

    async def _serve(self) -> None:
        lane = object()
        self._under_way.add(lane)
        patience = self._loop.call_later(_PATIENCE_SECONDS, self._let_go, lane)
        batch = self._take()
        self._starting = False
        self._go()
        try:
            await self._answer(batch)
        finally:
            patience.cancel()
            self._let_go(lane)

    def _let_go(self, lane: object) -> None:
        self._under_way.discard(lane)
        self._go()

    def _take(self) -> Sequence[_Call]:
        """Those that have waited longest, by their turns; what comes twice for one row stays in order."""
        batch: list[_Call] = []
        room = _MOST_BYTES
        while self._waiting and len(batch) < _MOST_CALLS:
            room -= self._waiting[0].statement.size
            if batch and room < 0:
                break
            batch.append(self._waiting.popleft())
        return sorted(batch, key=lambda call: call.turn)

    async def _answer(self, batch: Sequence[_Call]) -> None:
        if len(batch) == 1:
            await self._answer_alone(batch[0])
            return
        try:
            answers = await self._together([call.statement for call in batch])
        except Undone:
            for call in batch:
                self._spawn(self._answer_alone(call))
        except Exception as error:  # noqa: BLE001 - raised again where the callers wait
            for call in batch:
                call.fail(error)
        else:
            for call, rows in zip(batch, answers, strict=True):
                call.succeed(rows)

    async def _answer_alone(self, call: _Call) -> None:
        try:
            rows = await self._alone(call.statement)
        except Exception as error:  # noqa: BLE001 - raised again where the caller waits
            call.fail(error)
        else:
            call.succeed(rows)
