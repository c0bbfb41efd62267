"""The recordings that voices are made from: taken in, looked at, kept, and read again for a provider.

An upload may be anything, so it waits under a key of its own until its bytes were seen to be audio; only
then it becomes a voice's clip. Nothing larger than :data:`~ttsorch.capabilities.MAX_CLIP_BYTES` is ever
held in memory.
"""

import hashlib
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from anyio import to_thread

from ttsorch._audio import HEAD, AudioFormat, sniff
from ttsorch._keys import clip_key, upload_key
from ttsorch._one_chunk import OneChunk
from ttsorch.capabilities import MAX_CLIP_BYTES
from ttsorch.errors import (
    BlobExists,
    BlobNotFound,
    StorageUnavailable,
    ValidationError,
)
from ttsorch.models import BlobStream, Clip, StoredAudio
from ttsorch.protocols import BlobStore

logger = logging.getLogger("ttsorch")

#: What an upload may hold before it is refused while it arrives; a clip's own limit is told in words later.
_MAX_UPLOAD_BYTES = 2 * MAX_CLIP_BYTES


class ClipUnavailable(StorageUnavailable):
    """A voice's recording can't be read, so that nothing was sent. ``later``: it may be there then."""

    default_code = "clip_unavailable"
    default_message = "The recording of this voice can't be read. Please try again."

    def __init__(self, cause: StorageUnavailable) -> None:
        super().__init__(detail=f"{cause.code}: {cause.detail}")
        self.later = not isinstance(cause, BlobNotFound)


class Clips:
    """The recordings in one blob store."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def upload(self, key: str, audio: bytes | AsyncIterator[bytes]) -> None:
        """Keep a recording, under its :func:`~ttsorch._keys.upload_key`, for a voice that is to be made;
        only the first one counts.

        Raises:
            ValidationError: code ``clip_too_large``, or ``clip_exists`` (409); nothing was kept.
        """
        chunks = OneChunk(audio) if isinstance(audio, bytes) else audio
        try:
            await self._blobs.put(key, _Capped(chunks), "application/octet-stream")
        except BlobExists:
            raise ValidationError(
                "A recording was uploaded for this voice already.",
                code="clip_exists",
                field="voice_id",
                http_status=409,
            ) from None

    async def accept(self, voice_id: str, *, owner: str, formats: Sequence[str]) -> str:
        """Look at the upload and copy it to be the voice's clip; its key. Each try makes a copy of its own,
        so that none is old enough for the collection of orphans while it is needed.

        Raises:
            ValidationError: nothing was uploaded; or it is too large, not audio, or in a format that is
                not among ``formats`` (when there are any): then it is forgotten, and another one may come.
        """
        try:
            data = await self._read(upload_key(owner, voice_id))
            format = _checked_format(data, formats)
        except BlobNotFound:
            raise ValidationError(
                "Audio file not uploaded.", code="clip_missing", field="voice_id"
            ) from None
        except ValidationError:
            await self.forget_upload(voice_id, owner=owner)
            raise
        key = clip_key(owner, voice_id, format.extension, take=uuid.uuid4().hex)
        await self._blobs.put(key, OneChunk(data), format.content_type)
        return key

    async def forget_upload(self, voice_id: str, *, owner: str) -> None:
        """Remove the upload. If that fails, it is left for the collection of orphans."""
        await self.forget(upload_key(owner, voice_id))

    async def forget(self, key: str) -> None:
        """The same for a recording under any key."""
        try:
            await self._blobs.delete(key)
        except StorageUnavailable as error:
            logger.warning("a recording stays for collect_orphans: %s", error.code)

    async def load(self, key: str) -> Clip:
        """The clip, for a provider.

        Raises:
            ClipUnavailable: it is gone, or can't be read now. ValidationError: it is too large.
        """
        try:
            async with self._open(key) as blob:
                return Clip(b"".join([chunk async for chunk in blob.chunks]), blob.content_type)
        except StorageUnavailable as error:
            raise ClipUnavailable(error) from error

    async def check(self, key: str) -> None:
        """Refuse a clip that can't be sent, by its size alone (contract, section 3).

        Raises:
            ValidationError: code ``voice_audio_missing`` or ``voice_audio_too_large``.
        """
        try:
            async with self._open(key):
                pass
        except BlobNotFound:
            raise ValidationError(
                "Voice has no reference audio.", code="voice_audio_missing", field="voice_id"
            ) from None

    async def describe(self, key: str) -> StoredAudio:
        """The clip as a row names it. How long it lasts is not measured: that takes seconds of work for a
        file that was made for it, and nobody is told.

        Raises:
            ClipUnavailable: as :meth:`load`.
        """
        clip = await self.load(key)
        digest = await to_thread.run_sync(hashlib.sha256, clip.data)
        return StoredAudio(
            key=key,
            size=len(clip.data),
            sha256=digest.hexdigest(),
            content_type=clip.content_type,
            duration=0.0,
        )

    async def _read(self, key: str) -> bytes:
        async with self._blobs.open(key) as blob:
            if blob.size > MAX_CLIP_BYTES:
                raise _too_large()
            return b"".join([chunk async for chunk in blob.chunks])

    @asynccontextmanager
    async def _open(self, key: str) -> AsyncIterator[BlobStream]:
        async with self._blobs.open(key) as blob:
            if blob.size > MAX_CLIP_BYTES:
                raise ValidationError(
                    "Reference audio too large for generation. Re-clone with a shorter clip.",
                    code="voice_audio_too_large",
                    field="voice_id",
                    limit=MAX_CLIP_BYTES,
                )
            yield blob


class _Capped(AsyncIterator[bytes]):
    """The chunks of an upload, until they are too many."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._size = 0

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._size += len(chunk)
        if self._size > _MAX_UPLOAD_BYTES:
            raise _too_large()
        return chunk


def _checked_format(data: bytes, formats: Sequence[str]) -> AudioFormat:
    format = sniff(data[:HEAD])
    if format is None:
        raise ValidationError(
            "The uploaded file is not audio.", code="clip_not_audio", field="audio"
        )
    if formats and format.extension not in formats:
        raise ValidationError(
            f"The provider takes recordings as {', '.join(formats)} only.",
            code="clip_format",
            field="audio",
        )
    return format


def _too_large() -> ValidationError:
    return ValidationError(
        f"Reference audio must be under {MAX_CLIP_BYTES // (1024 * 1024)}MB.",
        code="clip_too_large",
        field="audio",
        limit=MAX_CLIP_BYTES,
    )
