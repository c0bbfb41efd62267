"""The gate between a provider's result and our blob store: a 200 is not speech (design 6.6)."""

from collections import deque
from collections.abc import AsyncIterator

from ttsorch._audio.digest import Digest
from ttsorch._audio.flac import walk_flac
from ttsorch._audio.formats import AAC, FLAC, M4A, MP3, OGG, WAV, AudioFormat
from ttsorch._audio.frames import walk_aac, walk_mp3
from ttsorch._audio.incoming import Incoming, Steps, Walk
from ttsorch._audio.mp4 import walk_m4a
from ttsorch._audio.ogg import walk_ogg
from ttsorch._audio.sniffing import HEAD, sniff
from ttsorch._audio.verdicts import cut_short, empty, malformed, not_audio, too_large
from ttsorch._audio.wav import walk_wav
from ttsorch.models import AudioStream, StoredAudio

_WALKS: dict[AudioFormat, Walk] = {
    WAV: walk_wav,
    MP3: walk_mp3,
    AAC: walk_aac,
    OGG: walk_ogg,
    FLAC: walk_flac,
    M4A: walk_m4a,
}


class AudioGate:
    """Lets audio through, and nothing else. ``format`` is what the bytes are, whatever was declared.

    Everything is checked before :meth:`chunks` ends, so that a blob store which stores all or nothing
    can't publish a bad result. What is kept in memory does not grow with the audio.
    """

    def __init__(
        self, stream: AudioStream, head: deque[bytes], sniffed: AudioFormat, max_bytes: int
    ) -> None:
        """Use :meth:`open`."""
        self.format = sniffed
        self._passage = _Passage(stream, head, _WALKS[sniffed], max_bytes)

    @classmethod
    async def open(cls, stream: AudioStream, *, max_bytes: int) -> "AudioGate":
        """Read the head of ``stream`` and see what it is. The stream stays the caller's to close.

        Raises:
            CorruptResult: code ``result_not_audio``, ``result_empty``, or ``result_too_large`` when more
                than ``max_bytes`` are announced.
        """
        if stream.length is not None and stream.length > max_bytes:
            raise too_large(max_bytes)
        head: deque[bytes] = deque()
        size = 0
        while size < HEAD and (chunk := await anext(stream.chunks, None)) is not None:
            if chunk:
                head.append(chunk)
                size += len(chunk)
        if not size:
            raise empty("no bytes at all")
        sniffed = sniff(b"".join(chunk[:HEAD] for chunk in head))
        if sniffed is None:
            raise not_audio("no audio format begins like this")
        return cls(stream, head, sniffed, max_bytes)

    def chunks(self) -> AsyncIterator[bytes]:
        """The stream's bytes, unchanged; to be read once, to the end.

        Raises (while reading):
            CorruptResult: code ``result_too_large`` as soon as there are more than the allowed bytes;
                ``corrupt_result`` when the stream or its container is cut short or malformed;
                ``result_empty`` when there is no sound in it; ``result_not_audio``.
        """
        return self._passage

    def stored(self, key: str) -> StoredAudio:
        """What went through, as stored under ``key``. Only after :meth:`chunks` has ended."""
        passage = self._passage
        if passage.seconds is None:
            raise RuntimeError("the audio has not been read to its end")
        return StoredAudio(
            key=key,
            size=passage.size,
            sha256=passage.digest.hexdigest(),
            content_type=self.format.content_type,
            duration=passage.seconds,
        )


class _Passage(AsyncIterator[bytes]):
    """Counts, hashes and walks what passes. Not a generator, since nobody would close one for certain."""

    def __init__(self, stream: AudioStream, head: deque[bytes], walk: Walk, max_bytes: int) -> None:
        self._stream = stream
        self._head = head
        self._max_bytes = max_bytes
        self._source = Incoming()
        self._measuring = self._measure(walk)
        self._walked = 0.0
        self.size = 0
        self.digest = Digest()
        self.seconds: float | None = None
        next(self._measuring)

    async def __anext__(self) -> bytes:
        chunk = self._head.popleft() if self._head else await anext(self._stream.chunks, None)
        if chunk is None:
            self._verify()
            await self.digest.end()
            raise StopAsyncIteration
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        await self.digest.add(chunk)
        self._source.feed(chunk)
        next(self._measuring)
        return chunk

    def _measure(self, walk: Walk) -> Steps[None]:
        self._walked = yield from walk(self._source)

    def _verify(self) -> None:
        declared = self._stream.length
        if declared is not None and self.size < declared:
            raise cut_short(f"{self.size} of {declared} bytes")
        if declared is not None and self.size > declared:
            raise malformed(f"{self.size} bytes where {declared} were announced")
        self._source.end()
        next(self._measuring, None)
        if self._walked <= 0:
            raise empty("a duration of zero")
        self.seconds = self._walked
