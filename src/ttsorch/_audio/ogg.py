"""Ogg (RFC 3533), with Opus, Vorbis, Speex or FLAC in it.

Streams may follow one another in one file, as clips that were joined do; their durations add up.
"""

from struct import unpack_from
from typing import NamedTuple

from ttsorch._audio.incoming import Incoming, Steps
from ttsorch._audio.verdicts import cut_short, malformed

_FIRST, _LAST = 0x02, 0x04
_PAGE_HEADER = 27
# What is looked at of a codec's identification header, and the smallest of them: that of Opus.
_IDENTIFICATION = 64
_SMALLEST_HEADER = 19
_MAX_OPEN = 8


class _Codec(NamedTuple):
    """Granules per second, and how many of them come before the first sound."""

    rate: int
    skipped: int


class _Page(NamedTuple):
    flags: int
    granule: int
    serial: int
    size: int


def walk_ogg(source: Incoming) -> Steps[float]:
    """Check that every page is whole and every stream has its last one; returns the duration."""
    codecs: dict[int, _Codec] = {}
    granules: dict[int, int] = {}
    seconds = 0.0
    while (page := (yield from _page_header(source, between=not codecs))) is not None:
        opening = yield from source.read(min(page.size, _IDENTIFICATION))
        if len(opening) + (yield from source.skip(page.size - len(opening))) < page.size:
            raise cut_short("inside a page")
        if page.flags & _FIRST:
            codecs[page.serial] = _codec(opening)
            granules[page.serial] = 0
        elif page.serial not in codecs:
            raise malformed("a page of no stream")
        if len(codecs) > _MAX_OPEN:
            raise malformed("too many streams at once in this Ogg file")
        granules[page.serial] = max(granules[page.serial], page.granule)
        if page.flags & _LAST:
            codec = codecs.pop(page.serial)
            seconds += max(0, granules.pop(page.serial) - codec.skipped) / codec.rate
    return seconds


def _page_header(source: Incoming, *, between: bool) -> Steps[_Page | None]:
    """The next page up to its body; None at the end. ``between`` streams anything may follow."""
    header = yield from source.read(_PAGE_HEADER)
    if between and not header.startswith(b"OggS"):
        yield from source.skip_rest()
        return None
    if len(header) < _PAGE_HEADER:
        raise cut_short("without the last page of an Ogg stream")
    if not header.startswith(b"OggS\0"):
        raise malformed("something other than a page in an Ogg stream")
    flags, granule, serial = unpack_from("<BqI", header, 5)
    lacing = yield from source.read(header[26])
    if len(lacing) < header[26]:
        raise cut_short("inside the header of a page")
    return _Page(flags, granule, serial, sum(lacing))


def _codec(first_packet: bytes) -> _Codec:
    """What a codec's identification header says: RFC 7845 section 5.1, the Vorbis I specification section
    4.2.2, the Speex manual section 8.3, and RFC 9639 section 10.1."""
    if len(first_packet) < _SMALLEST_HEADER:
        raise malformed("a stream of no known codec in this Ogg file")
    if first_packet.startswith(b"OpusHead"):
        return _Codec(48000, unpack_from("<H", first_packet, 10)[0])
    if first_packet.startswith(b"\x01vorbis"):
        rate = unpack_from("<I", first_packet, 12)[0]
    elif first_packet.startswith(b"Speex   "):
        rate = unpack_from("<I", first_packet.ljust(40, b"\0"), 36)[0]
    elif first_packet.startswith(b"\x7fFLAC"):
        rate = int.from_bytes(first_packet[27:30], "big") >> 4
    else:
        rate = 0
    if not rate:
        raise malformed("a stream of no known codec in this Ogg file")
    return _Codec(rate, 0)
