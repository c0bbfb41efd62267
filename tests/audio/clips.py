"""Small pieces of audio, built byte by byte or read from the fixtures, and the way through the gate."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from struct import pack

from anyio.lowlevel import checkpoint

from ttsorch._audio import AudioGate
from ttsorch.models import AudioStream, StoredAudio

FIXTURES = Path(__file__).parent / "fixtures"
KEY = "owner/generation/1.bin"

PCM = 0x0001
ADPCM = 0x0011
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def chunk(name: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """A RIFF chunk, padded to an even length; ``size`` is what it claims."""
    claimed = len(body) if size is None else size
    return name + pack("<I", claimed) + body + b"\0" * (len(body) % 2)


def wav_format(
    *,
    tag: int = PCM,
    channels: int = 1,
    rate: int = 8000,
    byte_rate: int | None = None,
    bits: int = 16,
) -> bytes:
    """A ``fmt`` chunk."""
    frame = channels * bits // 8
    stated = rate * frame if byte_rate is None else byte_rate
    return chunk(b"fmt ", pack("<HHIIHH", tag, channels, rate, stated, frame, bits))


def wav(
    samples: bytes = b"\x01\x80" * 400,
    *,
    size: int | None = None,
    riff_size: int | None = None,
    fmt: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A WAV, 16 bits at 8 kHz unless ``fmt`` says otherwise; ``size`` and ``riff_size`` are claims."""
    body = (
        (wav_format() if fmt is None else fmt) + before + chunk(b"data", samples, size=size) + after
    )
    claimed = 4 + len(body) if riff_size is None else riff_size
    return b"RIFF" + pack("<I", claimed) + b"WAVE" + body


def page(body: bytes, *, flags: int = 0, granule: int = 0, serial: int = 7) -> bytes:
    """An Ogg page with one packet in it. Checksums are left out: nobody here looks at them."""
    lacing = b"\xff" * (len(body) // 255) + bytes([len(body) % 255])
    header = pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, 0, 0, len(lacing))
    return header + lacing + body


def opus(seconds: float = 1.0, *, serial: int = 7) -> bytes:
    """An Ogg file with the headers of Opus, and noise for packets."""
    head = b"OpusHead" + pack("<BBHIHB", 1, 1, 312, 24000, 0, 0)
    return (
        page(head, flags=2, serial=serial)
        + page(b"OpusTags" + bytes(8), serial=serial)
        + page(b"\x78" * 300, granule=24000, serial=serial)
        + page(b"\x78" * 100, flags=4, granule=312 + round(48000 * seconds), serial=serial)
    )


def box(name: bytes, body: bytes, *, size: int | None = None) -> bytes:
    """An MP4 box; ``size`` is what it claims."""
    return pack(">I4s", 8 + len(body) if size is None else size, name) + body


def movie_header(*, duration: int, scale: int = 1000, version: int = 0) -> bytes:
    """An ``mvhd`` box."""
    times = pack(">IIII" if version == 0 else ">QQIQ", 0, 0, scale, duration)
    return box(b"mvhd", bytes([version, 0, 0, 0]) + times + bytes(80))


FTYP = box(b"ftyp", b"M4A \0\0\2\0isomiso2")


def m4a(*, movie: bytes | None = None) -> bytes:
    """An MP4 file of two seconds, its index in front."""
    return (
        FTYP
        + box(b"moov", movie_header(duration=2000) if movie is None else movie)
        + box(b"mdat", bytes(64))
    )


#: One MP3 frame of 24 ms: MPEG 2 layer III, 32 kbit/s, 24 kHz, mono.
MP3_FRAME = b"\xff\xf3\x44\xc4" + bytes(92)
#: One ADTS frame of 64 ms: AAC LC, 16 kHz, mono, 100 bytes.
AAC_FRAME = b"\xff\xf1\x60\x40\x0c\x9f\xfc" + bytes(93)


def id3(body: bytes, *, footer: bool = False) -> bytes:
    """An ID3v2 tag around ``body``."""
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    flags = b"\x10" if footer else b"\0"
    return b"ID3\4\0" + flags + size + body + (b"3DI\4\0\x10" + size if footer else b"")


class Chunks(AsyncIterator[bytes]):
    """Chunks of given bytes, and how many of them were asked for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.asked = 0

    async def __anext__(self) -> bytes:
        await checkpoint()
        self.asked += 1
        for one in self._chunks:
            return one
        raise StopAsyncIteration


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def pass_gate(
    data: bytes | Iterable[bytes], *, length: int | None = None, max_bytes: int = 1_000_000
) -> StoredAudio:
    """All of ``data`` through the gate; ``length`` is what the sender announced."""
    chunks = [data] if isinstance(data, bytes) else data
    gate = await AudioGate.open(AudioStream(Chunks(chunks), length=length), max_bytes=max_bytes)
    async for _ in gate.chunks():
        pass
    return gate.stored(KEY)
