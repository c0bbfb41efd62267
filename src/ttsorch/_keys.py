"""The names of blobs: built here, never accepted from anybody.

A key is ``{owner}/{generation}/{fence}.{extension}``. The owner's part has a fixed length, so that no
owner's prefix can be the beginning of another's, and never holds a host's user name as typed.
"""

import hashlib
import re
import uuid

from ttsorch.errors import ValidationError

_KEY = re.compile(r"[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,64}){1,4}\.[a-z0-9]{1,8}")


def owner_prefix(owner: str) -> str:
    """The first folder of everything an owner has: a canonical UUID as it is, else 32 hex digits of its
    SHA-256. The two can't meet, since only one of them has dashes."""
    try:
        if str(uuid.UUID(owner)) == owner:
            return owner
    except ValueError:
        pass
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def audio_key(owner: str, subject_id: str, fence: int, extension: str) -> str:
    """The key under which the holder of ``fence`` may publish the audio of ``subject_id``."""
    return checked(f"{owner_prefix(owner)}/{subject_id}/{fence}.{extension}")


def audio_prefix(owner: str, subject_id: str) -> str:
    """What every :func:`audio_key` of this subject begins with, whoever made it."""
    return f"{owner_prefix(owner)}/{subject_id}/"


def upload_key(owner: str, voice_id: str) -> str:
    """Where the recording for a new voice waits until it has been looked at; it may be anything."""
    return checked(f"{owner_prefix(owner)}/voices/{voice_id}/upload.bin")


def clip_key(owner: str, voice_id: str, extension: str, *, take: str = "clip") -> str:
    """Where a recording of a voice is kept. ``take`` tells one try to make the voice from another."""
    return checked(f"{owner_prefix(owner)}/voices/{voice_id}/{take}.{extension}")


def is_upload(key: str) -> bool:
    """Whether it is an :func:`upload_key`."""
    return key.endswith("/upload.bin") and key.count("/") == 3


def is_speech_of_a_lease(key: str) -> bool:
    """Whether it is an :func:`audio_key` of somebody who held a lease. Imported speech has the fence 0."""
    name = key.rpartition("/")[2].partition(".")[0]
    return key.count("/") == 2 and name.isdecimal() and int(name) > 0


def fence_of(key: str) -> int:
    """The fencing token in an :func:`audio_key`."""
    return int(key.rpartition("/")[2].partition(".")[0])


def checked(key: str) -> str:
    """``key`` itself.

    Raises:
        ValidationError: code ``invalid_blob_key``; it isn't of the form that this module builds.
    """
    if len(key) > 256 or not _KEY.fullmatch(key):
        raise ValidationError("Invalid storage object key.", code="invalid_blob_key")
    return key


def is_key(name: str) -> bool:
    """Whether :func:`checked` lets it through."""
    try:
        return bool(checked(name))
    except ValidationError:
        return False
