"""Reading a stream in order, without waiting for it and without keeping it.

A *walk* is a generator that reads a container's own lengths from an :class:`Incoming` and returns how
many seconds of sound there are. A bare ``yield`` in it means "not enough bytes yet". It ends only when the
stream has ended, and it keeps a bounded number of bytes, whatever the stream says.
"""

from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

Got = TypeVar("Got")

#: Something that may have to stop for more bytes before it can return.
Steps: TypeAlias = Generator[None, None, Got]


class Incoming:
    """The bytes that have come and have not been read. ``position`` counts what was read or skipped."""

    __slots__ = ("_at", "_chunk", "ended", "position")

    def __init__(self) -> None:
        self._chunk = b""
        self._at = 0
        self.ended = False
        self.position = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes. All earlier ones have been read: that is why a walk has stopped."""
        self._chunk = chunk
        self._at = 0

    def end(self) -> None:
        """No more bytes will come: from now on, whoever asks for too many gets what there is."""
        self.feed(b"")
        self.ended = True

    def read(self, count: int) -> Steps[bytes]:
        """The next ``count`` bytes; fewer only at the end of the stream."""
        piece = self._take(count)
        if len(piece) == count:
            return piece
        # A bytearray, since adding up bytes would take quadratic time when they drip in one by one.
        gathered = bytearray(piece)
        while len(gathered) < count and not self.ended:
            yield
            gathered += self._take(count - len(gathered))
        return bytes(gathered)

    def skip(self, count: int) -> Steps[int]:
        """Pass over ``count`` bytes; returns how many there were."""
        left = count - self._drop(count)
        while left and not self.ended:
            yield
            left -= self._drop(left)
        return count - left

    def skip_rest(self, *, keep: int = 0) -> Steps[bytes]:
        """Pass over everything that is still to come; returns its last ``keep`` bytes."""
        tail = bytearray()
        while True:
            self._drop(max(0, len(self._chunk) - self._at - keep))
            tail += self._take(keep)
            # Trimmed only now and then, so that a dripping stream doesn't move the tail with every byte.
            if self.ended or len(tail) > 2 * keep:
                del tail[: max(0, len(tail) - keep)]
            if self.ended:
                return bytes(tail)
            yield

    def _take(self, count: int) -> bytes:
        piece = self._chunk[self._at : self._at + count]
        self._at += len(piece)
        self.position += len(piece)
        return piece

    def _drop(self, count: int) -> int:
        dropped = min(count, len(self._chunk) - self._at)
        self._at += dropped
        self.position += dropped
        return dropped


Walk: TypeAlias = Callable[[Incoming], Steps[float]]
