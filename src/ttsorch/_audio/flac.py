"""FLAC (RFC 9639). Its frames don't say how long they are, so only the last one is looked at.

A server that streams FLAC can't state the number of samples in advance; the last frame knows it.
"""

from collections.abc import Iterator
from functools import lru_cache
from struct import unpack_from
from typing import NamedTuple

from ttsorch._audio.incoming import Incoming, Steps
from ttsorch._audio.verdicts import cut_short, malformed

# Several times the largest frame that encoders make: 4,608 samples of two channels.
_TAIL = 64 * 1024
# A frame's header up to its checksum: 4 fixed bytes, a number of up to 7, two fields of up to 2.
_FRAME_HEADER = 16
# Of all positions that look like a frame header and have its checksum, at most this many are a coincidence.
_MAX_CANDIDATES = 8
_STREAMINFO = 0
_LAST_BLOCK = 0x80


class _StreamInfo(NamedTuple):
    block_size: int
    rate: int
    samples: int


def walk_flac(source: Incoming) -> Steps[float]:
    """Check the last frame of a FLAC file; returns the duration up to its end."""
    yield from source.read(4)
    info: _StreamInfo | None = None
    flags = 0
    while not flags & _LAST_BLOCK:
        header = yield from source.read(4)
        if len(header) < 4:
            raise cut_short("inside the headers of a FLAC file")
        flags, size = header[0], int.from_bytes(header[1:], "big")
        body = yield from source.read(min(size, 18))
        if flags & ~_LAST_BLOCK == _STREAMINFO and info is None:
            info = _stream_info(body)
        yield from source.skip(size - len(body))
    if info is None:
        raise malformed("a FLAC file without stream information")
    end = _end_of_last_frame((yield from source.skip_rest(keep=_TAIL)), info)
    if end is None or end < info.samples:
        raise cut_short("inside or before the last frame of a FLAC file")
    return end / info.rate


def _stream_info(body: bytes) -> _StreamInfo:
    if len(body) < 18:
        raise cut_short("inside the headers of a FLAC file")
    block_size: int = unpack_from(">H", body, 2)[0]
    bits = int.from_bytes(body[10:18], "big")
    info = _StreamInfo(block_size, rate=bits >> 44, samples=bits & 0xF_FFFF_FFFF)
    if not info.rate:
        raise malformed("no sample rate in this FLAC file")
    return info


def _end_of_last_frame(tail: bytes, info: _StreamInfo) -> int | None:
    """Where in the whole sound the last frame ends, in samples; None when it isn't whole."""
    candidates = 0
    for at in _syncs_from_the_end(tail):
        end = _end_of_frame(tail[at : at + _FRAME_HEADER].ljust(_FRAME_HEADER, b"\0"), info)
        if end is None:
            continue
        if _crc(tail[at:-2], 0x8005, 16) == int.from_bytes(tail[-2:], "big"):
            return end
        candidates += 1
        if candidates == _MAX_CANDIDATES:
            break
    return None


def _syncs_from_the_end(tail: bytes) -> Iterator[int]:
    at = tail.rfind(b"\xff")
    while at >= 0:
        if tail[at + 1 : at + 2] in (b"\xf8", b"\xf9"):
            yield at
        at = tail.rfind(b"\xff", 0, at)


def _end_of_frame(header: bytes, info: _StreamInfo) -> int | None:
    """The sample after the last one of the frame with this header, None if it isn't a header."""
    block_code, rate_code = header[2] >> 4, header[2] & 15
    if not block_code or header[4] == 0xFF:
        return None
    number, at = _coded_number(header)
    if block_code == 6:
        block, at = header[at] + 1, at + 1
    elif block_code == 7:
        block, at = int.from_bytes(header[at : at + 2], "big") + 1, at + 2
    else:
        block = _FIXED_BLOCKS[block_code]
    at += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if _crc(header[:at], 0x07, 8) != header[at]:
        return None
    variable = header[1] & 1
    return (number if variable else number * info.block_size) + block


_FIXED_BLOCKS = {
    1: 192,
    **{code: 576 << (code - 2) for code in range(2, 6)},
    **{code: 256 << (code - 8) for code in range(8, 16)},
}


def _coded_number(header: bytes) -> tuple[int, int]:
    """The frame or sample number, coded as UTF-8 codes characters, and the index after it."""
    lead = header[4]
    following = max(0, 7 - (lead ^ 0xFF).bit_length())
    number = lead & (0x3F >> following if following else 0x7F)
    for byte in header[5 : 5 + following]:
        number = number << 6 | byte & 0x3F
    return number, 5 + following


def _crc(data: bytes, polynomial: int, width: int) -> int:
    table = _crc_table(polynomial, width)
    mask = (1 << width) - 1
    value = 0
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> (width - 8) ^ byte]
    return value


@lru_cache(maxsize=2)
def _crc_table(polynomial: int, width: int) -> tuple[int, ...]:
    mask = (1 << width) - 1
    table = []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = (value << 1 & mask) ^ (polynomial if value >> (width - 1) else 0)
        table.append(value)
    return tuple(table)
