"""MP4 and M4A (ISO/IEC 14496-12): boxes, each with its length in front.

The duration is that of the movie header. A fragmented file states none there and is turned away.
"""

from struct import unpack_from
from typing import NamedTuple

from ttsorch._audio.incoming import Incoming, Steps
from ttsorch._audio.verdicts import cut_short, malformed

_TO_THE_END = 0
_WIDE_SIZE = 1
_MOVIE_HEADER = 32
_UNKNOWN = (0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


class _Box(NamedTuple):
    """``end`` is a position in the file, None for the end of the file."""

    name: bytes
    end: int | None


def walk_m4a(source: Incoming) -> Steps[float]:
    """Check that every top-level box is whole; returns the duration that the movie header states."""
    movie_header = b""
    media = False
    while box := (yield from _box(source)):
        media = media or box.name == b"mdat"
        if box.name == b"moov" and not movie_header:
            movie_header = yield from _movie_header(source, box.end)
        yield from _leave(source, box)
    if not movie_header or not media:
        raise cut_short("an MP4 file without sound or without its index")
    return _seconds(movie_header)


def _box(source: Incoming) -> Steps[_Box | None]:
    start = source.position
    header = yield from source.read(8)
    if not header:
        return None
    if len(header) < 8:
        raise cut_short("inside the header of a box")
    size: int
    name: bytes
    size, name = unpack_from(">I4s", header)
    if size == _TO_THE_END:
        return _Box(name, None)
    if size == _WIDE_SIZE:
        wide = yield from source.read(8)
        size = int.from_bytes(wide, "big")
    if start + size < source.position:
        raise malformed("a box smaller than its header")
    return _Box(name, start + size)


def _leave(source: Incoming, box: _Box) -> Steps[None]:
    """Go to where ``box`` ends."""
    if box.end is None:
        yield from source.skip_rest()
        return
    rest = box.end - source.position
    if rest < 0:
        raise malformed("a box larger than the one around it")
    if (yield from source.skip(rest)) < rest:
        raise cut_short("inside a box of an MP4 file")


def _movie_header(source: Incoming, end: int | None) -> Steps[bytes]:
    """The beginning of the movie header inside the movie box that runs to ``end``."""
    while end is None or source.position < end:
        box = yield from _box(source)
        if box is None:
            break
        if box.name == b"mvhd":
            return (yield from source.read(_MOVIE_HEADER))
        yield from _leave(source, box)
    raise malformed("an MP4 file without a movie header")


def _seconds(movie_header: bytes) -> float:
    if len(movie_header) < _MOVIE_HEADER:
        raise cut_short("inside the movie header")
    wide = movie_header[0] == 1
    scale, duration = unpack_from(">IQ" if wide else ">II", movie_header, 20 if wide else 12)
    if duration in _UNKNOWN or not scale:
        raise malformed("an MP4 file that states no duration")
    seconds: float = duration / scale
    return seconds
