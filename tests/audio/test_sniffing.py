"""What some bytes begin."""

import pytest

from tests.audio.clips import AAC_FRAME, HTML, MP3_FRAME, fixture, id3, m4a, opus, wav
from ttsorch._audio import content_type_of, sniff

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
FLAC = b"fLaC\x80\0\0\x22" + bytes(34)


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (wav(), "wav"),
        (b"RF64" + wav()[4:], "wav"),
        (wav()[:12], "wav"),
        (opus(), "ogg"),
        (FLAC, "flac"),
        (m4a(), "m4a"),
        (MP3_FRAME * 2, "mp3"),
        (id3(b"TIT2") + MP3_FRAME * 2, "mp3"),
        (id3(bytes(100_000)) + MP3_FRAME * 2, "mp3"),
        (id3(b"TIT2", footer=True) + MP3_FRAME * 2, "mp3"),
        (AAC_FRAME * 2, "aac"),
        (fixture("cbr.mp3"), "mp3"),
        (fixture("vbr_xing.mp3"), "mp3"),
        (fixture("tagged_streamed.mp3"), "mp3"),
        (fixture("adts.aac"), "aac"),
        (fixture("vorbis.ogg"), "ogg"),
    ],
)
def test_recognises_audio(head: bytes, extension: str) -> None:
    """Each format is known by its bytes."""
    sniffed = sniff(head)
    assert sniffed
    assert sniffed.extension == extension


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\0" * 1000,
        b"R",
        b"RIFF\0\0\0\0AVI LIST",
        b"RIFF",
        HTML,
        b'{"detail": "quota exceeded"}',
        b"plain text",
        "\ufeffOggS".encode(),
        PNG,
        b"PK\x03\x04" + bytes(64),
        b"%PDF-1.7",
        b"\x1f\x8b\x08" + bytes(64),
        b"GIF89a",
        b"OggT\0",
        MP3_FRAME,
        MP3_FRAME + HTML,
        AAC_FRAME + HTML,
        b"\xff\xf1\x7c\x40\x0c\x9f\xfc" + bytes(93) + AAC_FRAME,
        b"\xff\xf1\x60\x40\0\0\xfc" * 20,
        id3(HTML),
        id3(HTML) + HTML,
        id3(HTML) + MP3_FRAME,
        id3(b"TIT2"),
        b"ID3\4\0\0\xff\xff\xff\xff" + MP3_FRAME * 2,
        b"\xff\xfe" + "utf-16".encode("utf-16-le") * 20,
        b"\xff" * 1000,
        b"\xff\xfb\xf0\0" * 200,
        b"\xff\xfb\x0c\0" * 200,
        MP3_FRAME + b"\xff\xfb\x90\xc4" + bytes(500),
    ],
)
def test_recognises_nothing_else(head: bytes) -> None:
    """Pages, JSON, text, pictures, archives, one lone frame and tags around them are not audio."""
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("key", "content_type"),
    [
        ("o/g/1.wav", "audio/wav"),
        ("o/g/1.mp3", "audio/mpeg"),
        ("o/g/1.aac", "audio/aac"),
        ("o/g/1.ogg", "audio/ogg"),
        ("o/g/1.flac", "audio/flac"),
        ("o/g/1.m4a", "audio/mp4"),
        ("o/g/1.html", "application/octet-stream"),
        ("o/g/wav", "application/octet-stream"),
    ],
)
def test_content_type_comes_from_the_extension(key: str, content_type: str) -> None:
    """An extension of ours has its content type; any other is served as mere bytes."""
    assert content_type_of(key) == content_type
