"""Being asked to stop, by a signal, in a way that leaves time to wind up."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType, TracebackType

import anyio

# The live line hides it.
_SHOW_CURSOR = b"\x1b[?25h\n"


class Stopped(Exception):
    """A signal asked the command to stop; what it was doing has been wound up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Stoppable:
    """A context manager: the first SIGINT or SIGTERM cancels what runs inside, and only that. What comes
    after the block then winds up, and raises :class:`Stopped` in the end. A second signal ends the
    process at once, with ``last_words`` on standard error.

    The orchestrator must be opened outside: cancelled itself, it could not even cancel a job.
    """

    def __init__(self, last_words: Callable[[], str] = str) -> None:
        #: The signal that came.
        self.number = 0
        self._last_words = last_words
        self._loop = asyncio.get_running_loop()
        self._scope = anyio.CancelScope()
        # A shell starts background commands with SIGINT ignored; that stays as it is.
        self._numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not signal.SIG_IGN
        ]

    def __enter__(self) -> "Stoppable":
        self._scope.__enter__()
        for number in self._numbers:
            self._loop.add_signal_handler(number, self._stop, number)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not self.number:
            self._restore()
        return self._scope.__exit__(exc_type, exc, traceback)

    def _stop(self, number: int) -> None:
        self.number = number
        self._restore()
        for each in self._numbers:
            signal.signal(each, partial(_leave, self._last_words))
        self._scope.cancel()

    def _restore(self) -> None:
        for number in self._numbers:
            self._loop.remove_signal_handler(number)


def _leave(last_words: Callable[[], str], number: int, frame: FrameType | None) -> None:
    # Not by an exception: in the middle of an event loop it would come out as a page of tracebacks.
    try:
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        os.write(sys.stderr.fileno(), last_words().encode())
    finally:
        os._exit(128 + number)
