"""What a database server's clock says, without asking it again.

Every answer of the server carries its time. The server read its clock after the statement was sent and
before the answer was received, which bounds how far it is ahead of our own monotonic clock. We go by the
lower bound, the best one so far: then ``now()`` is never ahead of the server, and never behind a time that
the server has already told us. Our wall clock is not looked at, so it may show anything.
"""

import time
from collections.abc import Callable
from datetime import datetime

from ttsorch.store._rows import from_microseconds


def monotonic_microseconds() -> int:
    return time.monotonic_ns() // 1000


class ServerClock:
    """Made with the first answer; ``sent`` and ``received`` are on the clock that ``read`` reads, and all
    times are in microseconds."""

    def __init__(
        self,
        answer: int,
        *,
        sent: int,
        received: int,
        read: Callable[[], int] = monotonic_microseconds,
    ) -> None:
        self.read = read
        self._ahead = answer - received - 1
        self.observe(answer, sent=sent, received=received)

    def now(self) -> datetime:
        return from_microseconds(self.read() + self._ahead)

    def observe(self, answer: int, *, sent: int, received: int) -> None:
        """Learn from one answer. One that contradicts what we believed wins: the server's clock was set, or
        ours stood still while the machine slept."""
        least, most = (
            answer - received - 1,
            answer - sent + 1,
        )  # each reading was cut to a microsecond
        if not least <= self._ahead <= most:
            self._ahead = least
