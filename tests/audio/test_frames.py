"""MP3 and AAC at the gate: frame after frame."""

from itertools import pairwise
from struct import pack

import pytest

from tests.audio.clips import AAC_FRAME, HTML, MP3_FRAME, fixture, id3, pass_gate
from ttsorch.errors import CorruptResult

pytestmark = pytest.mark.anyio

# 1,152 samples at 44.1 kHz and 128 kbit/s: 417 bytes, or 418 with padding.
MPEG1_FRAME = b"\xff\xfb\x90\xc4" + bytes(413)
MPEG1_PADDED = b"\xff\xfb\x92\xc4" + bytes(414)
# 576 samples at 11.025 kHz and 16 kbit/s.
MPEG25_FRAME = b"\xff\xe3\x20\xc4" + bytes(100)


def xing(frames: int, *, flags: int = 1, name: bytes = b"Xing") -> bytes:
    """A first frame that promises how many follow."""
    body = bytes(9) + name + pack(">II", flags, frames)
    return MP3_FRAME[:4] + body.ljust(92, b"\0")


async def refusal(data: bytes) -> str:
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (MP3_FRAME * 100, 2.4),
        (MPEG1_FRAME * 49, 49 * 1152 / 44100),
        ((MPEG1_FRAME + MPEG1_PADDED) * 49, 98 * 1152 / 44100),
        (MPEG25_FRAME * 50, 50 * 576 / 11025),
        (id3(b"TIT2") + MP3_FRAME * 100, 2.4),
        (id3(b"TIT2", footer=True) + MP3_FRAME * 100, 2.4),
        (AAC_FRAME * 100, 6.4),
    ],
)
async def test_frames_add_up(data: bytes, seconds: float) -> None:
    """The duration is the number of frames times the samples in each."""
    assert (await pass_gate(data)).duration == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "junk",
    [
        b"TAG" + bytes(125),
        b"APETAGEX" + bytes(200),
        bytes(5000),
        id3(b"TIT2 of the next clip"),
        b"\r\n",
        b"\xff\x00" * 10,
    ],
)
async def test_tags_and_padding_are_no_sound(junk: bytes) -> None:
    """What players pass over, at the end or where clips were joined, neither counts nor hurts."""
    assert (await pass_gate(MP3_FRAME * 50 + junk + MP3_FRAME * 50)).duration == pytest.approx(2.4)
    assert (await pass_gate(MP3_FRAME * 100 + junk)).duration == pytest.approx(2.4)
    assert (await pass_gate(AAC_FRAME * 100 + junk)).duration == pytest.approx(6.4)


async def test_too_much_junk_is_no_audio() -> None:
    """Two frames in front don't make a hundred kilobytes of page into an MP3."""
    assert await refusal(MP3_FRAME * 2 + HTML * 2000) == "corrupt_result"


async def test_frames_of_another_kind_are_junk() -> None:
    """A frame at another sample rate doesn't belong to the stream, and doesn't count."""
    assert (await pass_gate(MP3_FRAME * 100 + MPEG1_FRAME)).duration == pytest.approx(2.4)


@pytest.mark.parametrize("frame", [MP3_FRAME, AAC_FRAME, MPEG1_FRAME])
async def test_a_cut_inside_a_frame_is_told(frame: bytes) -> None:
    """Wherever the last frame is cut, in its header or its body, the stream doesn't pass."""
    whole = frame * 4
    for missing in range(1, len(frame)):
        assert await refusal(whole[:-missing]) == "corrupt_result"


async def test_a_cut_inside_the_first_frame_is_told() -> None:
    """A tag that hides a lone, cut frame is found out."""
    assert await refusal(id3(b"TIT2") + MP3_FRAME + MP3_FRAME[:50]) == "corrupt_result"


@pytest.mark.parametrize("name", [b"Xing", b"Info"])
async def test_a_promise_of_frames_is_held_against_the_stream(name: bytes) -> None:
    """An encoder that counted its frames tells a cut even between two frames."""
    assert (await pass_gate(xing(100, name=name) + MP3_FRAME * 100)).duration == pytest.approx(2.4)
    assert await refusal(xing(100, name=name) + MP3_FRAME * 98) == "corrupt_result"
    assert await refusal(xing(100, name=name) + MP3_FRAME) == "corrupt_result"


async def test_a_promise_that_counts_itself_is_kept() -> None:
    """Some encoders count the frame with the promise in."""
    assert (await pass_gate(xing(100) + MP3_FRAME * 99)).duration == pytest.approx(99 * 0.024)


async def test_joined_clips_may_exceed_the_first_one_s_promise() -> None:
    """More frames than the first clip promised are fine: it was joined with others."""
    assert (await pass_gate(xing(50) + MP3_FRAME * 100)).duration == pytest.approx(2.4)


@pytest.mark.parametrize("header", [xing(0), xing(7, flags=0)])
async def test_no_promise_is_none(header: bytes) -> None:
    """A streaming encoder leaves the number out; then every frame that came counts."""
    assert (await pass_gate(header + MP3_FRAME * 100)).duration == pytest.approx(2.4)


async def test_a_promise_too_short_to_read_is_none() -> None:
    """A first frame that ends inside its own promise promises nothing; it is no sound either."""
    small = b"\xff\xf3\x14\xc4"  # 24 bytes
    data = small + bytes(9) + b"Xing" + bytes(7) + (small + bytes(20)) * 100
    assert (await pass_gate(data)).duration == pytest.approx(2.4)


@pytest.mark.parametrize("name", ["cbr.mp3", "vbr.mp3", "adts.aac", "tagged_streamed.mp3"])
async def test_a_cut_in_a_real_file_is_told_but_between_frames(name: str) -> None:
    """Of the last cuts only those between two frames, which nothing can tell, pass."""
    data = fixture(name)
    passed = []
    for end in range(len(data) - 300, len(data)):
        try:
            await pass_gate(data[:end])
        except CorruptResult:
            continue
        passed.append(end)
    assert 1 <= len(passed) <= 9
    assert all(later - earlier > 20 for earlier, later in pairwise(passed))
