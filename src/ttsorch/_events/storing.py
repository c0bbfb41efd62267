"""A task whose result is there: copied into our own storage, or not yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from ttsorch._events import changes
from ttsorch.models import Envelope, ErrorInfo, JsonValue, ProviderVoice, StoredAudio, Task


@dataclass(frozen=True, slots=True)
class ResultReady:
    """The provider is done, and ``envelope`` says where the result is."""

    envelope: Envelope = field(repr=False)
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.released(changes.bound(task, self.voice), now),
            envelope=self.envelope,
            result_expires_at=self.expires_at,
            receipt=changes.receipts(task, self.receipt),
            outcome_open=False,
            doubted_at=None,
            error=None,
        )


@dataclass(frozen=True, slots=True)
class StoreStarted:
    """The result is being copied: under a fresh lease, or by who just received it and holds one. An
    ``envelope`` that came with the bytes is the way back to them after a crash."""

    envelope: Envelope | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.bound(task, self.voice),
            outcome_open=False,
            envelope=self.envelope or task.envelope,
            result_expires_at=self.expires_at or task.result_expires_at,
            receipt=changes.receipts(task, self.receipt),
        )


@dataclass(frozen=True, slots=True)
class StoreDeferred:
    """The result could not be copied this time; try again at ``retry_at``."""

    error: ErrorInfo
    retry_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.released(task, self.retry_at),
            finalize_attempts=task.finalize_attempts + 1,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class ResultLost:
    """The envelope is stale, but asking again with the ticket may give a fresh one."""

    error: ErrorInfo
    check_at: datetime

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(
            changes.released(task, self.check_at),
            finalize_attempts=task.finalize_attempts + 1,
            envelope=None,
            result_expires_at=None,
            word=None,
            error=self.error,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The audio is in our own storage."""

    audio: StoredAudio

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(changes.ended(task, now, error=None), audio=self.audio)


@dataclass(frozen=True, slots=True)
class VoiceAdded:
    """The voice that the provider made of a recording is among its owner's voices; ``audio`` is that
    recording."""

    audio: StoredAudio

    def apply(self, task: Task, now: datetime) -> Task:
        return replace(changes.ended(task, now, error=None), audio=self.audio)
