"""WAV: RIFF, and RF64 for sizes over 4 GiB (EBU Tech 3306).

A server that streams a WAV writes its header before it knows the sizes. Such a header says 0, or a value
around 2 or 4 GiB; then the samples run to the end of the stream.
"""

from struct import unpack_from
from typing import NamedTuple

from ttsorch._audio.incoming import Incoming, Steps
from ttsorch._audio.verdicts import cut_short, empty, malformed, not_audio

_STREAMED_FROM = 0x7FFF_0000
_IN_DS64 = 0xFFFF_FFFF
# PCM, float, A-law, mu-law, and what is told by a GUID, which is PCM: samples of a fixed size each.
_PLAIN_SAMPLES = {0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE}
_AFTER_SAMPLES = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"fact", b"smpl", b"_PMX")
_PEEK = 64
_TEXT_OPENINGS = (b"<!doctype", b"<html", b"<?xml", b'{"', b'[{"')


class _SampleFormat(NamedTuple):
    """``byte_rate`` and ``rate``, in samples, are per second. ``coded`` samples have no fixed size."""

    byte_rate: int
    rate: int
    coded: bool


def walk_wav(source: Incoming) -> Steps[float]:
    """Check the sizes of a WAV against what came; returns the duration of its samples."""
    head = yield from source.read(12)
    wide = head[:4] == b"RF64"
    riff_size: int = unpack_from("<I", head, 4)[0]
    sample_format: _SampleFormat | None = None
    data_size64 = coded_samples = 0
    while True:
        header = yield from source.read(8)
        if len(header) < 8:
            raise cut_short("no samples in this WAV")
        size: int = unpack_from("<I", header, 4)[0]
        name = header[:4]
        if name == b"data":
            break
        body = yield from _chunk(source, size)
        if name == b"fmt ":
            sample_format = _sample_format(body)
        elif name == b"fact":
            coded_samples = int.from_bytes(body[:4], "little")
        elif name == b"ds64" and wide:
            riff_size, data_size64 = unpack_from("<QQ", body.ljust(16, b"\0"))
    if sample_format is None:
        raise malformed("no sample format in this WAV")
    received = yield from _samples(source, data_size64 if wide and size == _IN_DS64 else size)
    yield from source.skip_rest()
    _check_outer_size(riff_size, source.position)
    if sample_format.coded and coded_samples and received:
        return coded_samples / sample_format.rate
    return received / sample_format.byte_rate


def _chunk(source: Incoming, size: int) -> Steps[bytes]:
    """The beginning of a chunk, as much of it as this module ever looks at."""
    body = yield from source.read(min(size, 16))
    yield from source.skip(size + size % 2 - len(body))
    return body


def _sample_format(fmt: bytes) -> _SampleFormat:
    if len(fmt) < 16:
        raise malformed("the sample format of this WAV is too small")
    tag, channels, rate, stated, frame_size = unpack_from("<HHIIH", fmt)
    coded = tag not in _PLAIN_SAMPLES
    byte_rate = stated if coded else rate * frame_size
    if not channels or not rate or not byte_rate:
        raise malformed("no channels or no sample rate in this WAV")
    return _SampleFormat(byte_rate, rate, coded)


def _samples(source: Incoming, size: int) -> Steps[int]:
    """Pass over the samples; returns how many bytes they are."""
    streamed = size == 0 or size >= _STREAMED_FROM
    start = source.position
    opening = yield from source.read(_PEEK if streamed else min(size, _PEEK))
    if _is_text(opening):
        raise not_audio("text in the place of samples")
    if size == 0 and opening.startswith(_AFTER_SAMPLES):
        raise empty("a WAV without samples")
    if streamed:
        yield from source.skip_rest()
    else:
        yield from source.skip(size - len(opening))
        if source.position - start < size:
            raise cut_short(f"{source.position - start} of {size} bytes of samples")
    return source.position - start


def _is_text(opening: bytes) -> bool:
    """Whether samples begin like a page or a JSON document and are all ASCII as far as we look."""
    return opening.isascii() and opening.lstrip().lower().startswith(_TEXT_OPENINGS)


def _check_outer_size(riff_size: int, total: int) -> None:
    # Many writers count the eight bytes of the RIFF header in, so that honest files seem to lack them.
    honest = riff_size < _STREAMED_FROM and riff_size != total
    if honest and total < riff_size + 8:
        raise cut_short(f"{total} of {riff_size + 8} bytes of a WAV")
