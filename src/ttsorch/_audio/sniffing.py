"""What kind of audio some bytes begin, by the bytes alone: a content type can say anything."""

from ttsorch._audio.formats import AAC, FLAC, M4A, MP3, OGG, WAV, AudioFormat
from ttsorch._audio.frames import HEADER, ID3_HEADER, FrameReader, aac_frame, id3_length, mp3_frame

#: As much of a stream as :func:`sniff` can make use of: an ID3 tag with a small picture fits in.
HEAD = 256 * 1024


def sniff(head: bytes) -> AudioFormat | None:
    """The format that ``head``, the first :data:`HEAD` bytes or fewer, begins; None if it isn't audio.

    MP3 and AAC have no magic number worth the name, so that two frames have to follow one another; an
    ID3 tag alone is no audio.
    """
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head.startswith(b"OggS\0"):
        return OGG
    if head.startswith(b"fLaC"):
        return FLAC
    if head[4:8] == b"ftyp":
        return M4A
    if _two_frames(head, id3_length(head[:ID3_HEADER]), mp3_frame):
        return MP3
    if _two_frames(head, 0, aac_frame):
        return AAC
    return None


def _two_frames(head: bytes, at: int, read: FrameReader) -> bool:
    first = read(head[at : at + HEADER])
    if first is None:
        return False
    at += first.length
    second = read(head[at : at + HEADER])
    return second is not None and second.kind == first.kind
