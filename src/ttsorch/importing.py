"""Audio that another backend made, on its way into a blob store: what it is, and under which key it goes.

Rows that come from elsewhere go through the stores' own methods; these functions are for the bytes behind
them, since keys are built by the library and never accepted from anybody. ``examples/migrate_v1.py`` shows
both together.
"""

import hashlib

from ttsorch._audio import HEAD, AudioFormat, AudioGate, content_type_of, sniff
from ttsorch._keys import audio_key, clip_key
from ttsorch._one_chunk import OneChunk
from ttsorch.errors import BlobExists, CorruptResult, ValidationError
from ttsorch.models import AudioStream, StoredAudio
from ttsorch.protocols import BlobStore

__all__ = ["imported_clip_key", "imported_speech", "keep_imported"]

#: A lease counts its fencing tokens from 1, so no key of this library's own making meets this one.
_FENCE = 0
_TAKE = "imported"


async def imported_speech(
    data: bytes, *, owner: str, generation_id: str, duration: float | None = None
) -> StoredAudio:
    """``data`` as the row of its generation has to name it. Writes nothing.

    The duration is measured. ``duration``, in seconds, is what the old row says: it counts only where the
    container can't be measured, since older servers published such audio and people listen to it.

    Raises:
        ValidationError: code ``audio_not_importable``: it isn't audio, or can't be measured and the old row
            doesn't help; ``invalid_blob_key``: the id is none that a key can be made of.
    """
    format = _format(data)
    return StoredAudio(
        key=audio_key(owner, generation_id, _FENCE, format.extension),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        content_type=format.content_type,
        duration=await _seconds(data, duration),
    )


def imported_clip_key(data: bytes, *, owner: str, voice_id: str) -> str:
    """Where the recording of an imported voice belongs: its ``reference_audio_key``. Writes nothing.

    Raises:
        ValidationError: as :func:`imported_speech`.
    """
    return clip_key(owner, voice_id, _format(data).extension, take=_TAKE)


async def keep_imported(blobs: BlobStore, key: str, data: bytes) -> None:
    """Put ``data`` under ``key``, before the row that names it. Harmless when repeated.

    Raises:
        ValidationError: code ``import_conflict``: there are other bytes under this key.
        StorageUnavailable: it could not be stored.
    """
    try:
        await blobs.put(key, OneChunk(data), content_type_of(key))
    except BlobExists:
        async with blobs.open(key) as blob:
            there = b"".join([chunk async for chunk in blob.chunks])
        if there != data:
            raise ValidationError(
                "There is other audio under the key of this import.", code="import_conflict"
            ) from None


def _format(data: bytes) -> AudioFormat:
    format = sniff(data[:HEAD])
    if format is None:
        raise _refused("The file is not audio.")
    return format


async def _seconds(data: bytes, told: float | None) -> float:
    try:
        gate = await AudioGate.open(
            AudioStream(OneChunk(data), length=len(data)), max_bytes=len(data)
        )
        async for _ in gate.chunks():
            pass
        return gate.stored("").duration
    except CorruptResult as error:
        if told is not None and told > 0:
            return told
        raise _refused("The audio is broken, and nobody says how long it lasts.") from error


def _refused(sentence: str) -> ValidationError:
    return ValidationError(sentence, code="audio_not_importable", field="audio")
