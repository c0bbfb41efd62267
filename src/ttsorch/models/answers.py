"""What a provider answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeAlias

from ttsorch.models.failures import ErrorInfo
from ttsorch.models.json_values import Envelope, JsonValue, Ticket
from ttsorch.models.speech import ProviderVoice


@dataclass(frozen=True, slots=True)
class AudioStream:
    """Audio on its way in. ``length`` is in bytes, None when the sender didn't say."""

    chunks: AsyncIterator[bytes]
    content_type: str | None = None
    length: int | None = None


#: Audio that is opened when somebody is ready to read it, and closed after.
AudioSource: TypeAlias = AbstractAsyncContextManager[AudioStream]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the job; ``ticket`` is how we ask about it."""

    ticket: Ticket = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ready:
    """The speech exists. Either ``envelope`` says how to fetch it, as often as needed, or ``audio``
    holds it already and can be read once; with both, ``audio`` is the shortcut and ``envelope`` the
    way back after a crash.

    ``voice`` is the voice that this call made, if it was asked to make one. ``receipt`` is what the
    provider says about its bill (request id, usage), kept on the row for good: it holds no secret.
    ``expires_at`` without a time zone is taken as UTC: what was paid for is not lost over that.
    """

    envelope: Envelope | None = field(default=None, repr=False)
    audio: AudioSource | None = None
    expires_at: datetime | None = None
    voice: ProviderVoice | None = None
    receipt: Mapping[str, JsonValue] | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            object.__setattr__(self, "expires_at", self.expires_at.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Running:
    """The provider is at it. ``word`` is its own word for that; ``elapsed`` and ``check_after`` are in
    seconds, ``progress`` runs from 0 to 1."""

    word: str = "running"
    elapsed: float | None = None
    progress: float | None = None
    queue_position: int | None = None
    check_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider says that the job failed for good. ``doubtful``: it says the same when it only could
    not look, so it has to say it again some seconds later before it is believed."""

    error: ErrorInfo
    doubtful: bool = False


SubmitResult: TypeAlias = Accepted | Ready
CheckResult: TypeAlias = Running | Ready | Failed


class CancelOutcome(StrEnum):
    """What became of a request to cancel. After ``REQUESTED`` the job may still end either way."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    TOO_LATE = "too_late"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"
