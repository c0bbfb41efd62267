"""One byte range (RFC 9110, 14). Everything that isn't exactly one is answered with the whole."""

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII | re.IGNORECASE)
#: More digits than any size has; turning them into a number is quadratic work.
_MAX_DIGITS = 20


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From ``start`` up to but not including ``end``."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


class UnsatisfiableRange(Exception):
    """The range lies wholly outside the blob; 416."""


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """The part of ``size`` bytes that a Range header asks for; None for the whole, which is also the
    answer to another unit, several ranges and a malformed header (14.2: a server may ignore them).

    Raises:
        UnsatisfiableRange: nothing of it exists.
    """
    found = _ONE_RANGE.fullmatch(header or "")
    if found is None:
        return None
    first, last = (digits.lstrip("0") or digits[:1] for digits in found.groups())
    if not first:
        return _suffix(last, size)
    start, end = _number(first), _number(last) + 1 if last else size
    if end <= start and last:
        return None
    if start >= size:
        raise UnsatisfiableRange
    return ByteRange(start, min(end, size))


def _suffix(digits: str, size: int) -> ByteRange | None:
    if not digits:
        return None
    length = min(_number(digits), size)
    if length == 0:
        raise UnsatisfiableRange
    return ByteRange(size - length, size)


def _number(digits: str) -> int:
    return int(digits[:_MAX_DIGITS]) if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
