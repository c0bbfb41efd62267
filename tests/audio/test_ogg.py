"""Ogg at the gate: whole pages, and a last one."""

from struct import pack

import pytest

from tests.audio.clips import HTML, fixture, opus, page, pass_gate
from ttsorch.errors import CorruptResult

pytestmark = pytest.mark.anyio


async def refusal(data: bytes) -> str:
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data)
    return caught.value.code


async def test_the_last_page_tells_the_duration() -> None:
    """The position of the last page, without what a decoder skips at the start."""
    assert (await pass_gate(opus(1.5))).duration == 1.5


@pytest.mark.parametrize("data", [opus(), opus() + opus(serial=8)])
async def test_a_cut_at_any_byte_is_told(data: bytes) -> None:
    """However little is missing, it doesn't pass, unless whole streams are missing."""
    await pass_gate(data)
    for end in range(len(data)):
        if end != len(opus()) and end != len(opus()) + 1 and not 0 < end - len(opus()) < 4:
            assert await refusal(data[:end]) in (
                "corrupt_result",
                "result_not_audio",
                "result_empty",
            )


async def test_a_cut_in_a_real_file_is_told() -> None:
    """The same with an encoder's file, at its last bytes."""
    data = fixture("vorbis.ogg")
    for end in range(len(data) - 500, len(data)):
        assert await refusal(data[:end]) == "corrupt_result"


async def test_joined_clips_add_up() -> None:
    """Clips that were synthesised piece by piece and joined last as long as all of them."""
    assert (await pass_gate(opus(1.0) + opus(2.0) + opus(0.5, serial=9))).duration == 3.5


async def test_something_after_the_last_page_is_passed_over() -> None:
    """What players ignore after the end is ignored here; it adds no sound."""
    assert (await pass_gate(opus(1.0) + b"trailing junk" * 100)).duration == 1.0


@pytest.mark.parametrize(
    "data",
    [
        page(b"not a codec we know of", flags=2) + page(b"x", flags=4, granule=9),
        page(b"short", flags=2) + page(b"x", flags=4, granule=9),
        page(b"\x01vorbis" + bytes(23), flags=2) + page(b"x", flags=4, granule=9),
        opus()[:47] + page(b"x", serial=99) + opus()[47:],
        page(b"x", flags=4, granule=9),
        opus()[:47] + HTML + opus()[47:],
        b"".join(opus(serial=serial)[:47] for serial in range(9)),
    ],
)
async def test_a_malformed_stream_is_told(data: bytes) -> None:
    """An unknown codec, no rate, pages of no stream, something in between, or too many streams at once."""
    assert await refusal(data) == "corrupt_result"


async def test_a_stream_without_sound_is_empty() -> None:
    """Headers and a last page, but nothing in between."""
    data = opus()[:47] + page(b"OpusTags" + bytes(8)) + page(b"", flags=4, granule=312)
    assert await refusal(data) == "result_empty"


def speex_header(rate: int) -> bytes:
    return (b"Speex   " + b"1.2".ljust(20, b"\0") + pack("<III", 1, 80, rate)).ljust(80, b"\0")


def flac_header(rate: int) -> bytes:
    stream_info = bytes(10) + ((rate << 44) | (15 << 36)).to_bytes(8, "big") + bytes(16)
    return b"\x7fFLAC\1\0\0\1fLaC\0\0\0\x22" + stream_info


@pytest.mark.parametrize(
    "header",
    [
        b"\x01vorbis" + pack("<IBI", 0, 1, 16000) + bytes(14),
        speex_header(16000),
        flac_header(16000),
    ],
)
async def test_each_codec_has_its_own_clock(header: bytes) -> None:
    """Vorbis, Speex and FLAC count samples at the rate that their header gives."""
    data = page(header, flags=2) + page(bytes(50), granule=-1) + page(b"x", flags=4, granule=8000)
    assert (await pass_gate(data)).duration == 0.5
