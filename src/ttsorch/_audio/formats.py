"""The audio formats that ttsorch stores, and the only place that maps extensions to content types."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A container format. ``extension`` has no dot; ``content_type`` is what a browser is told."""

    name: str
    extension: str
    content_type: str


WAV = AudioFormat("WAV", "wav", "audio/wav")
MP3 = AudioFormat("MP3", "mp3", "audio/mpeg")
AAC = AudioFormat("AAC", "aac", "audio/aac")
OGG = AudioFormat("Ogg", "ogg", "audio/ogg")
FLAC = AudioFormat("FLAC", "flac", "audio/flac")
M4A = AudioFormat("MP4", "m4a", "audio/mp4")

#: Of every format that we know.
EXTENSIONS = tuple(known.extension for known in (WAV, MP3, AAC, OGG, FLAC, M4A))

_CONTENT_TYPES = {known.extension: known.content_type for known in (WAV, MP3, AAC, OGG, FLAC, M4A)}


def content_type_of(key: str) -> str:
    """The content type that the extension of ``key`` stands for; ``application/octet-stream`` for one
    that isn't in the table."""
    return _CONTENT_TYPES.get(key.rpartition(".")[2], "application/octet-stream")
