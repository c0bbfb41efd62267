"""MP4 at the gate: boxes that add up, and an index."""

from struct import pack

import pytest

from tests.audio.clips import FTYP, box, fixture, m4a, movie_header, pass_gate
from ttsorch.errors import CorruptResult

pytestmark = pytest.mark.anyio

MDAT = box(b"mdat", bytes(64))
MOOV = box(b"moov", movie_header(duration=2000))


async def refusal(data: bytes) -> str:
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data)
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [
        m4a(),
        FTYP + MDAT + MOOV,
        FTYP + box(b"free", b"") + MDAT + MOOV,
        FTYP + MOOV + pack(">I4sQ", 1, b"mdat", 80) + bytes(64),
        FTYP + MOOV + box(b"mdat", bytes(64), size=0),
        FTYP + MDAT + box(b"moov", movie_header(duration=2000), size=0),
        m4a(
            movie=box(b"iods", bytes(16)) + movie_header(duration=2000) + box(b"trak", bytes(5000))
        ),
        m4a(movie=movie_header(duration=88200, scale=44100, version=1)),
        m4a() + MOOV,
    ],
)
async def test_the_movie_header_tells_the_duration(data: bytes) -> None:
    """The index may be first or last, sizes short, wide or open: the duration is the stated one."""
    assert (await pass_gate(data)).duration == 2.0


@pytest.mark.parametrize("data", [m4a(), FTYP + MDAT + MOOV])
async def test_a_cut_at_any_byte_is_told(data: bytes) -> None:
    """However little is missing, it doesn't pass."""
    for end in range(len(data)):
        assert await refusal(data[:end]) in ("corrupt_result", "result_not_audio", "result_empty")


@pytest.mark.parametrize("name", ["index_first.m4a", "index_last.m4a"])
async def test_a_cut_in_a_real_file_is_told(name: str) -> None:
    """The same with an encoder's files, at their last bytes."""
    data = fixture(name)
    for end in range(len(data) - 300, len(data)):
        assert await refusal(data[:end]) == "corrupt_result"


@pytest.mark.parametrize(
    "data",
    [
        FTYP + MOOV,
        FTYP + MDAT,
        m4a(movie=b""),
        m4a(movie=box(b"trak", bytes(50))),
        m4a(movie=box(b"mvhd", bytes(100), size=4)),
        m4a(movie=box(b"trak", bytes(50), size=10_000)),
        m4a(movie=box(b"mvhd", b"\0" * 4)),
        m4a(movie=movie_header(duration=0)),
        m4a(movie=movie_header(duration=0xFFFFFFFF)),
        m4a(movie=movie_header(duration=2000, scale=0)),
        FTYP + MDAT + box(b"moov", movie_header(duration=2000)[:20], size=0),
        FTYP + MDAT + box(b"moov", b"", size=0),
        FTYP + MDAT + box(b"moov", movie_header(duration=2000), size=12),
        FTYP + MOOV + pack(">I4sQ", 1, b"mdat", 3) + bytes(64),
        FTYP + MOOV + pack(">I4sI", 1, b"mdat", 0),
        FTYP + MOOV + box(b"mdat", bytes(64), size=7),
        FTYP + MOOV + MDAT + b"abc",
        fixture("fragmented.m4a"),
    ],
)
async def test_boxes_that_do_not_fit_are_told(data: bytes) -> None:
    """No sound, no index, no duration, and sizes that contradict each other."""
    assert await refusal(data) == "corrupt_result"
