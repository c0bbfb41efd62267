"""Finished speech in a file that has no name: it can be read once and can't be left behind."""

import os
import tempfile
import weakref
from types import TracebackType
from typing import IO

from anyio import CancelScope, to_thread

from ttsorch.errors import CorruptResult, ResultExpired
from ttsorch.models import AudioStream

# A thread hop per chunk: few, large ones.
_CHUNK_BYTES = 256 * 1024

_WAV_HEADER_BYTES = 44


class Recording:
    """A WAV file that somebody else writes and we hand on: an
    :data:`~ttsorch.models.AudioSource`.

    A recording can be minutes long, so it is never held in memory. The file is closed, and its space
    free again, after it was read, by :meth:`aclose`, or when nobody holds the recording any more.
    """

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the finalizer closes it
        self._close = weakref.finalize(self, self.file.close)
        self._length = 0

    def rewind(self) -> None:
        """Make what was written ready to be read.

        Raises:
            CorruptResult: it isn't a WAV with samples in it.
        """
        self._length = self.file.seek(0, os.SEEK_END)
        self.file.seek(0)
        header = self.file.read(12)
        self.file.seek(0)
        is_wav = header[:4] == b"RIFF" and header[8:] == b"WAVE"
        if not is_wav or self._length <= _WAV_HEADER_BYTES:
            raise CorruptResult(
                detail=f"the engine left {self._length} bytes that are no recording"
            )

    async def __aenter__(self) -> AudioStream:
        if not self._close.alive:
            raise ResultExpired(detail="a recording can be read once")
        return AudioStream(self, "audio/wav", self._length)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file; harmless when repeated."""
        # In a thread, because freeing the space of a long recording takes a while.
        with CancelScope(shield=True):
            await to_thread.run_sync(self._close)

    # Not an async generator: a reader may stop half way, and then nothing is left to finalize.
    def __aiter__(self) -> "Recording":
        return self

    async def __anext__(self) -> bytes:
        chunk = await to_thread.run_sync(self.file.read, _CHUNK_BYTES)
        if not chunk:
            raise StopAsyncIteration
        return chunk
