"""FLAC at the gate: the last frame tells whether all came, and how long it is."""

import pytest

from tests.audio.clips import fixture, pass_gate
from ttsorch._audio.flac import _crc
from ttsorch.errors import CorruptResult

pytestmark = pytest.mark.anyio


def frame(
    number: bytes, *, codes: int, extra: bytes = b"", variable: bool = False, size: int = 20
) -> bytes:
    """A frame with right checksums; ``codes`` are those of the block size and the sample rate."""
    header = bytes([0xFF, 0xF9 if variable else 0xF8, codes, 0x08]) + number + extra
    header += bytes([_crc(header, 0x07, 8)])
    body = header + b"\x5a" * size
    return body + _crc(body, 0x8005, 16).to_bytes(2, "big")


# Right but for the checksum of its header.
WRONG_HEADER = b"\xff\xf8\xc0\x08\x01\x77" + bytes(20)


def flac(frames: bytes, *, rate: int = 16000, samples: int = 0, block: int = 4096) -> bytes:
    sizes = block.to_bytes(2, "big") * 2 + bytes(6)
    info = sizes + ((rate << 44) | (15 << 36) | samples).to_bytes(8, "big") + bytes(16)
    picture = b"\x86\0\0\x64" + bytes(100)
    return b"fLaC\0\0\0\x22" + info + picture + frames


async def refusal(data: bytes) -> str:
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("last", "samples"),
    [
        (frame(b"\x00", codes=0xC0), 4096),
        (frame(b"\x09", codes=0xC0), 10 * 4096),
        (frame(b"\x7f", codes=0x10), 127 * 4096 + 192),
        (frame(b"\xc2\x80", codes=0x20), 128 * 4096 + 576),
        (frame(b"\xe0\xa0\x80", codes=0x50), 2048 * 4096 + 4608),
        (frame(b"\x09", codes=0x60, extra=b"\x63"), 9 * 4096 + 100),
        (frame(b"\x09", codes=0x70, extra=b"\x03\xe7"), 9 * 4096 + 1000),
        (frame(b"\x09", codes=0x8C, extra=b"\x10"), 9 * 4096 + 256),
        (frame(b"\x09", codes=0xFE, extra=b"\x10\x10"), 9 * 4096 + 32768),
        (frame(b"\xc2\x80", codes=0xC0, variable=True), 128 + 4096),
        (frame(b"\xfe\x80\x80\x80\x80\xa0\x80", codes=0xC0, variable=True), 2048 + 4096),
        (frame(b"\x09", codes=0xC0, size=3), 10 * 4096),
    ],
)
async def test_the_last_frame_tells_where_the_sound_ends(last: bytes, samples: int) -> None:
    """Its number and its block size, in all their codings (RFC 9639, section 9.1)."""
    stored = await pass_gate(flac(frame(b"\x00", codes=0xC0) + last))
    assert stored.duration == samples / 16000


async def test_as_many_samples_as_stated_have_to_come() -> None:
    """A cut between two frames is told when the header states the number of samples."""
    frames = frame(b"\x00", codes=0xC0) + frame(b"\x01", codes=0xC0)
    assert (await pass_gate(flac(frames, samples=8192))).duration == 8192 / 16000
    assert await refusal(flac(frame(b"\x00", codes=0xC0), samples=8192)) == "corrupt_result"


async def test_a_cut_at_any_byte_of_a_real_file_is_told() -> None:
    """Of a file with a stated number of samples, none of the last cuts passes."""
    data = fixture("seekable.flac")
    for end in range(len(data) - 150, len(data)):
        assert await refusal(data[:end]) == "corrupt_result"


async def test_a_cut_in_the_headers_is_told() -> None:
    """Nothing passes before the first frame."""
    data = flac(frame(b"\x00", codes=0xC0))
    for end in range(4, len(data)):
        assert await refusal(data[:end]) == "corrupt_result"


@pytest.mark.parametrize(
    "data",
    [
        flac(frame(b"\x00", codes=0xC0), rate=0),
        b"fLaC\x81\0\0\x04" + bytes(4) + frame(b"\x00", codes=0xC0),
        flac(frame(b"\x00", codes=0x00)),
        flac(frame(b"\xff\0\0\0\0\0\0\0", codes=0x7E, extra=b"\0\0\0\0")),
        flac(b"\xff\xf8" * 100),
        flac(WRONG_HEADER + _crc(WRONG_HEADER, 0x8005, 16).to_bytes(2, "big")),
        flac(b""),
    ],
)
async def test_a_malformed_file_is_told(data: bytes) -> None:
    """No rate, no stream information, no frame, and reserved codes."""
    assert await refusal(data) == "corrupt_result"


async def test_bytes_that_look_like_a_header_do_not_confuse() -> None:
    """A frame whose sound happens to contain another frame's header is still found."""
    decoy = frame(b"\x05", codes=0xC0)[:6]
    header = bytes([0xFF, 0xF8, 0xC0, 0x08, 0x01])
    body = header + bytes([_crc(header, 0x07, 8)]) + decoy + bytes(30)
    last = body + _crc(body, 0x8005, 16).to_bytes(2, "big")
    assert (await pass_gate(flac(last))).duration == 8192 / 16000
    many = header + bytes([_crc(header, 0x07, 8)]) + decoy * 20 + bytes(30)
    assert await refusal(flac(many + _crc(many, 0x8005, 16).to_bytes(2, "big"))) == "corrupt_result"
