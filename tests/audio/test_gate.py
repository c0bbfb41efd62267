"""The gate that every result passes on its way into the blob store."""

import contextlib
import hashlib
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from types import FrameType

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.audio.clips import (
    AAC_FRAME,
    HTML,
    KEY,
    MP3_FRAME,
    Chunks,
    fixture,
    id3,
    m4a,
    opus,
    pass_gate,
    split,
    wav,
)
from ttsorch._audio import AudioGate
from ttsorch.errors import BlobNotFound, CorruptResult, ProviderUnavailable
from ttsorch.models import AudioStream
from ttsorch.storage.memory import MemoryBlobStore

CLIPS = [
    wav(),
    wav(size=0xFFFFFFFF, riff_size=0xFFFFFFFF),
    fixture("rf64.wav"),
    fixture("opus.ogg"),
    fixture("vorbis.ogg"),
    fixture("reference_encoder.flac"),
    fixture("index_last.m4a"),
    fixture("vbr_xing.mp3"),
    fixture("tagged_streamed.mp3"),
    fixture("adts.aac"),
]


def code(caught: pytest.ExceptionInfo[CorruptResult]) -> str:
    return caught.value.code


@pytest.mark.anyio
async def test_lets_audio_through_unchanged() -> None:
    """What comes out is what went in, and is described by its size, hash, type and duration."""
    data = wav(bytes([1, 129]) * 8000)
    gate = await AudioGate.open(AudioStream(Chunks(split(data, 777))), max_bytes=1_000_000)
    out = b"".join([chunk async for chunk in gate.chunks()])
    stored = gate.stored(KEY)
    assert out == data
    assert (stored.key, stored.size, stored.duration) == (KEY, len(data), 1.0)
    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert stored.content_type == "audio/wav"


@pytest.mark.anyio
async def test_takes_the_type_from_the_bytes() -> None:
    """A content type that the sender declared doesn't count."""
    stream = AudioStream(Chunks([opus()]), content_type="audio/wav")
    gate = await AudioGate.open(stream, max_bytes=10_000)
    assert gate.format.extension == "ogg"


@pytest.mark.anyio
@pytest.mark.parametrize("data", CLIPS)
async def test_does_not_depend_on_the_chunks(data: bytes) -> None:
    """Byte by byte, in pieces of any size, or all at once: the outcome is the same."""
    whole = await pass_gate(data)
    for size in (1, 7, 27, 4096):
        assert await pass_gate(split(data, size)) == whole
    assert await pass_gate([b"", *split(data, 5000), b"", b""]) == whole


@pytest.mark.anyio
@pytest.mark.parametrize("body", [HTML, b'{"error": "quota"}', b"\x89PNG\r\n\x1a\n", id3(HTML)])
async def test_refuses_what_is_no_audio(body: bytes) -> None:
    """A page, JSON or a picture with status 200 is told at once, without a byte of it in the error."""
    with pytest.raises(CorruptResult) as caught:
        await AudioGate.open(
            AudioStream(Chunks([body]), content_type="audio/wav"), max_bytes=10_000
        )
    assert code(caught) == "result_not_audio"
    assert "html" not in f"{caught.value.message} {caught.value.detail}".lower()


@pytest.mark.anyio
@pytest.mark.parametrize("chunks", [[], [b""], [b""] * 10])
async def test_refuses_an_empty_answer(chunks: list[bytes]) -> None:
    """No bytes at all are no audio."""
    with pytest.raises(CorruptResult) as caught:
        await AudioGate.open(AudioStream(Chunks(chunks), length=0), max_bytes=10_000)
    assert code(caught) == "result_empty"


@pytest.mark.anyio
async def test_reads_only_the_head_at_first() -> None:
    """Opening asks for no more than it needs to know the format."""
    chunks = Chunks(split(wav(bytes([1, 129]) * 1_000_000), 64 * 1024))
    await AudioGate.open(AudioStream(chunks), max_bytes=10_000_000)
    assert chunks.asked == 4


@pytest.mark.anyio
async def test_refuses_an_announced_size_before_reading() -> None:
    """More than the limit, announced, costs no download."""
    chunks = Chunks([wav()])
    with pytest.raises(CorruptResult) as caught:
        await AudioGate.open(AudioStream(chunks, length=1001), max_bytes=1000)
    assert code(caught) == "result_too_large"
    assert chunks.asked == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("spare", "fits"), [(1, True), (0, True), (-1, False)])
@pytest.mark.parametrize("size", [1, 100, 100_000])
async def test_stops_at_the_limit(spare: int, fits: bool, size: int) -> None:
    """Exactly the limit passes, one byte more doesn't, in whatever chunks it comes."""
    data = wav()
    if fits:
        await pass_gate(split(data, size), max_bytes=len(data) + spare)
    else:
        with pytest.raises(CorruptResult) as caught:
            await pass_gate(split(data, size), max_bytes=len(data) + spare)
        assert code(caught) == "result_too_large"


@pytest.mark.anyio
async def test_stops_an_endless_stream() -> None:
    """A stream that announced nothing and never ends is left as soon as it is too much."""
    head = wav(size=0xFFFFFFFF, riff_size=0xFFFFFFFF)

    chunks = Chunks([head, *[bytes(10_000)] * 1000])
    gate = await AudioGate.open(AudioStream(chunks), max_bytes=500_000)
    with pytest.raises(CorruptResult):
        async for _ in gate.chunks():
            pass
    assert chunks.asked < 60


@pytest.mark.anyio
@pytest.mark.parametrize("off", [-500, -1, 1, 500])
async def test_compares_with_the_announced_length(off: int) -> None:
    """Fewer or more bytes than the sender announced are told, even if the audio looks whole."""
    data = MP3_FRAME * 100
    assert (await pass_gate(data, length=len(data))).size == len(data)
    with pytest.raises(CorruptResult) as caught:
        await pass_gate(data, length=len(data) + off)
    assert code(caught) == "corrupt_result"


@pytest.mark.anyio
async def test_a_bad_result_is_never_stored() -> None:
    """The verdict comes before the chunks end, so that a store which is all or nothing stores nothing."""
    blobs = MemoryBlobStore()
    gate = await AudioGate.open(AudioStream(Chunks(split(wav()[:-1], 100))), max_bytes=10_000)
    with pytest.raises(CorruptResult):
        await blobs.put("owner/generation/1.wav", gate.chunks(), "audio/wav")
    with pytest.raises(BlobNotFound):
        async with blobs.open("owner/generation/1.wav"):
            pass


@pytest.mark.anyio
async def test_tells_nothing_before_the_end() -> None:
    """Nothing can be recorded of audio that hasn't passed as a whole."""
    gate = await AudioGate.open(AudioStream(Chunks([wav()])), max_bytes=10_000)
    await anext(gate.chunks())
    with pytest.raises(RuntimeError):
        gate.stored(KEY)


@pytest.mark.anyio
async def test_passes_on_what_the_provider_raises() -> None:
    """A connection that breaks is the provider's error, not a verdict on the audio."""

    class Breaking(Chunks):
        async def __anext__(self) -> bytes:
            if self.asked == 1:
                raise ProviderUnavailable
            return await super().__anext__()

    with pytest.raises(ProviderUnavailable):
        await AudioGate.open(AudioStream(Breaking([wav()])), max_bytes=10_000)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "opening",
    [
        wav(size=0xFFFFFFFF, riff_size=0xFFFFFFFF),
        MP3_FRAME * 100,
        fixture("seekable.flac")[:9000],
        fixture("index_first.m4a"),
        fixture("opus.ogg"),
    ],
)
async def test_memory_does_not_grow_with_the_audio(opening: bytes) -> None:
    """While 16 MiB pass, or until they are refused, no more than 2 MiB are held."""

    def chunks() -> Iterator[bytes]:
        yield opening
        for _ in range(256):
            yield bytes(64 * 1024)

    tracemalloc.start()
    try:
        with contextlib.suppress(CorruptResult):
            await pass_gate(chunks(), max_bytes=1 << 30)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


@pytest.mark.anyio
@pytest.mark.parametrize("data", [clip for clip in CLIPS if len(clip) < 9000])
async def test_every_byte_is_looked_at_once(data: bytes) -> None:
    """Chunks of one byte cost the gate a bounded number of steps each: time grows with the bytes only."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    gate = await AudioGate.open(AudioStream(Chunks(split(data, 1))), max_bytes=1_000_000)
    sys.setprofile(count)
    try:
        async for _ in gate.chunks():
            pass
    finally:
        sys.setprofile(None)
    assert calls < 40 * len(data) + 10_000


def test_importing_the_gate_needs_no_other_package() -> None:
    """What the orchestrator imports brings in no reader of tags."""
    code = "import sys, ttsorch._audio; sys.exit('tinytag' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PIECES = [
    b"RIFF", b"RF64", b"WAVE", b"fmt ", b"data", b"ds64", b"fact", b"LIST", b"OggS\0", b"OpusHead",
    b"\x01vorbis", b"\x7fFLAC", b"Speex   ", b"fLaC", b"ftyp", b"moov", b"mvhd", b"mdat", b"ID3\4\0\0",
    b"\xff\xf8", b"\xff\xf1", b"Xing", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x08", b"\x10\0\0\0",
    MP3_FRAME, AAC_FRAME,
]  # fmt: skip
SCRAPS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=40), max_size=30).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole clip, cut, with bytes overwritten, repeated and added."""
    data = bytearray(draw(st.sampled_from([*CLIPS, m4a(), opus()])))
    for _ in range(draw(st.integers(0, 6))):
        # Damage in the headers, where it means something, more often than in the sound.
        at = draw(st.integers(0, 120) | st.integers(0, len(data)))
        new = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
        data[at : at + draw(st.sampled_from([0, len(new), 50]))] = new
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


async def outcomes(data: bytes, size: int, length: int | None) -> list[str]:
    """What becomes of ``data`` as one chunk, and in chunks of ``size``."""
    found = []
    for chunks in ([data], split(data, size)):
        try:
            stored = await pass_gate(chunks, length=length)
        except CorruptResult as refused:
            found.append(refused.code)
        else:
            assert stored.duration > 0
            assert stored.size == len(data)
            found.append("passed")
    return found


@settings(max_examples=250)
@given(
    SCRAPS | damaged() | st.binary(max_size=300),
    st.integers(1, 5000),
    st.none() | st.integers(0, 30_000),
)
@example(
    b"fLaC\x80\0\0\x22" + bytes(10) + b"\x0f" + bytes(30) + b"\xff\xf8\xcc\0\xff" + b"\xff" * 20,
    1,
    None,
)
def test_any_bytes_pass_or_are_refused(data: bytes, size: int, length: int | None) -> None:
    """Whatever comes, in whatever chunks: sound with a duration, or CorruptResult, and nothing else. Where a
    chunk ends never decides whether something passes."""
    whole, pieces = anyio.run(outcomes, data, size, length)
    assert whole == pieces or "passed" not in (whole, pieces)
