"""Records in words that people read, safe for any terminal."""

from datetime import datetime
from pathlib import PurePath

from ttsorch.models import Status, StoredAudio, Task
from ttsorch.states import provider_status

_WORDS = {
    "provider_queued": "Waiting to start",
    "provider_submitting": "Handing over",
    "provider_synthesizing": "Speaking",
    "provider_downloading": "Fetching the audio",
    "finalizing": "Fetching the audio again",
    "provider_persisting": "Saving the audio",
    "unknown": "Waiting for the provider's answer",
    "status_error": "The provider can't be asked just now",
    "completed": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def phase_in_words(task: Task) -> str:
    """What the task is at; a provider's own word as it is."""
    word = provider_status(task)
    return _WORDS.get(word) or plain(word)


def state_in_words(task: Task) -> str:
    """:func:`phase_in_words`, and of a failed task the code that says why."""
    why = f": {task.error.code}" if task.status is Status.FAILED and task.error else ""
    return f"{phase_in_words(task)}{why}"


def audio_in_words(audio: StoredAudio) -> str:
    return f"{audio.duration:.1f} s of {audio.content_type}, {audio.size:,} bytes"


def misnamed(out: str | None, audio: StoredAudio) -> bool:
    """Whether the name that somebody chose for a file promises another format than it holds."""
    chosen = PurePath(out or "-").suffix.lower()
    return chosen not in ("", PurePath(audio.key).suffix)


def local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def plain(text: str) -> str:
    """``text`` with everything escaped that a terminal might obey (faults (d) 21)."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
