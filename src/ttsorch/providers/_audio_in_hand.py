"""Audio that came inside a JSON answer, as audio sources: one to read once, and one that isn't there."""

from types import TracebackType

from ttsorch.errors import ResultExpired
from ttsorch.models import AudioStream

_CHUNK_BYTES = 256 * 1024


class AudioInHand:
    """Bytes in memory as an :data:`~ttsorch.models.AudioSource`: read once, then let go."""

    def __init__(self, audio: bytes, content_type: str | None = None) -> None:
        self._audio: bytes | None = audio
        self._content_type = content_type

    async def __aenter__(self) -> AudioStream:
        audio, self._audio = self._audio, None
        if audio is None:
            raise ResultExpired(detail="audio in hand can be read once")
        return AudioStream(_Pieces(audio), self._content_type, len(audio))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class NoAudio:
    """The audio source of a result that can't be had: entering it raises ``ResultExpired``."""

    async def __aenter__(self) -> AudioStream:
        raise ResultExpired

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class _Pieces:
    # Not an async generator: a reader may stop half way, and then nothing is left to finalize.
    def __init__(self, audio: bytes) -> None:
        self._audio = audio
        self._given = 0

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> bytes:
        piece = self._audio[self._given : self._given + _CHUNK_BYTES]
        if not piece:
            raise StopAsyncIteration
        self._given += len(piece)
        return piece
