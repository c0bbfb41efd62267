"""MP3 (ISO/IEC 11172-3, 13818-3) and AAC in ADTS (ISO/IEC 13818-7): no container, just frame after frame.

Each frame's header gives its length, so that walking them finds a cut in the last one, and gives a duration
that needs no guess about the bit rate and no trust in a header that was written before the sound.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import unpack_from
from typing import NamedTuple, TypeAlias

from ttsorch._audio.incoming import Incoming, Steps
from ttsorch._audio.verdicts import cut_short, malformed

#: How many bytes of a stream :func:`mp3_frame` and :func:`aac_frame` look at.
HEADER = 7
ID3_HEADER = 10
# Tags at the end, and what joins clips together: players pass over it, and so do we, within reason.
_MAX_JUNK = 64 * 1024

_MPEG1, _MPEG2, _MPEG25 = 3, 2, 0
_LAYER_III = 1
_MP3_RATES = {
    _MPEG1: (44100, 48000, 32000),
    _MPEG2: (22050, 24000, 16000),
    _MPEG25: (11025, 12000, 8000),
}
_MPEG1_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_AAC_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip


class Frame(NamedTuple):
    """One frame. ``length`` is in bytes, its header included; ``rate`` is in samples per second; frames of
    one stream share their ``kind``."""

    length: int
    samples: int
    rate: int
    kind: int


FrameReader: TypeAlias = Callable[[bytes], Frame | None]


def mp3_frame(header: bytes) -> Frame | None:
    """The MPEG layer III frame that begins with these bytes, if one does."""
    return _mp3_frame(header[:4])


@lru_cache(maxsize=256)  # a stream has a handful of different headers, and thousands of frames
def _mp3_frame(header: bytes) -> Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version not in _MP3_RATES or layer != _LAYER_III or bit_rate in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == _MPEG1 else 576
    kbits = (_MPEG1_KBITS if version == _MPEG1 else _MPEG2_KBITS)[bit_rate - 1]
    hertz = _MP3_RATES[version][rate]
    length = samples // 8 * kbits * 1000 // hertz + (header[2] >> 1 & 1)
    return Frame(length, samples, hertz, version << 2 | rate)


def aac_frame(header: bytes) -> Frame | None:
    """The ADTS frame that begins with these bytes, if one does."""
    if len(header) < HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    rate = header[2] >> 2 & 15
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    if rate >= len(_AAC_RATES) or length <= HEADER:
        return None
    return Frame(length, 1024 * ((header[6] & 3) + 1), _AAC_RATES[rate], rate)


def id3_length(header: bytes) -> int:
    """How long the ID3v2 tag is that begins with these bytes, in bytes; 0 when none does."""
    if len(header) < ID3_HEADER or header[:3] != b"ID3" or max(header[6:10]) > 127:
        return 0
    size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
    footer = ID3_HEADER if header[5] & 0x10 else 0
    return ID3_HEADER + size + footer


def walk_mp3(source: Incoming) -> Steps[float]:
    """Count the frames of an MP3; returns its duration."""
    header = yield from source.read(HEADER)
    if header[:3] == b"ID3":
        header += yield from source.read(ID3_HEADER - HEADER)
        yield from source.skip(id3_length(header) - ID3_HEADER)
        header = yield from source.read(HEADER)
    return (yield from _walk_frames(source, mp3_frame, header))


def walk_aac(source: Incoming) -> Steps[float]:
    """Count the frames of an ADTS stream; returns its duration."""
    header = yield from source.read(HEADER)
    return (yield from _walk_frames(source, aac_frame, header))


def _walk_frames(source: Incoming, read: FrameReader, header: bytes) -> Steps[float]:
    first: Frame | None = None
    promised: int | None = None
    samples = junk = 0
    while len(header) == HEADER:
        frame = read(header)
        if frame is None or (first is not None and frame.kind != first.kind):
            junk += 1
            if junk > _MAX_JUNK:
                raise malformed("something other than frames between the frames")
            header = header[1:] + (yield from source.read(1))
            continue
        body = yield from source.read(frame.length - HEADER)
        if len(body) < frame.length - HEADER:
            raise cut_short("inside the last frame")
        if first is None:
            first = frame
            promised = _promised_frames(body)
            samples = frame.samples if promised is None else 0
        else:
            samples += frame.samples
        header = yield from source.read(HEADER)
    if first is None or _may_be_frame(header):
        raise cut_short("inside the header of a frame")
    # Some writers count the frame that holds the promise.
    if promised and samples < (promised - 1) * first.samples:
        raise cut_short(f"fewer frames than the {promised} that were promised")
    return samples / first.rate


def _may_be_frame(header: bytes) -> bool:
    return header[:1] == b"\xff" and (len(header) == 1 or header[1] >= 0xE0)


def _promised_frames(body: bytes) -> int | None:
    """What a Xing or Info header in an MP3's first frame says of the number of frames after it. None
    when there is no such header; then the frame is sound like any other."""
    at = max(body.find(b"Xing", 0, 40), body.find(b"Info", 0, 40))
    if at < 0:
        return None
    if len(body) < at + 12:
        return 0
    flags, frames = unpack_from(">II", body, at + 4)
    return frames if flags & 1 else 0
