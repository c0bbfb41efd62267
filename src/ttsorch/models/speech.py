"""What is to be said, in which voice, and the try to have it said."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ttsorch.models.json_values import JsonValue


class VoiceSource(StrEnum):
    """Where a voice came from (contract R11)."""

    UPLOADED = "uploaded"
    DESIGNED = "designed"
    BUILTIN = "builtin"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of an owner, or a built-in voice of a provider (then ``owner`` is None).

    The ``provider_*`` fields bind it to one provider, and where the vendor wants it, to one model.
    """

    id: str
    name: str
    tts_provider: str
    owner: str | None = None
    source: VoiceSource = VoiceSource.BUILTIN
    language: str = "Auto"
    description: str | None = field(default=None, repr=False)
    reference_transcript: str | None = field(default=None, repr=False)
    reference_audio_key: str | None = None
    provider_voice_id: str | None = None
    provider_target_model: str | None = None
    provider_voice_kind: str | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of the voice that is to be spoken with. Its content type is what its bytes are."""

    data: bytes = field(repr=False)
    content_type: str


@dataclass(frozen=True, slots=True)
class ProviderVoice:
    """How a provider knows a voice that it made: by ``id``, and only for ``target_model``. ``kind`` is
    the provider's own word for how it was made."""

    id: str
    target_model: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """What should be said. ``options`` go to the provider as they are (rate, pitch, vendor knobs).

    ``clip`` is the voice's reference recording, read from the blob store for a provider whose
    ``capabilities.sends_clip`` is set; whoever calls the orchestrator leaves it alone.
    """

    text: str = field(repr=False)
    voice: Voice
    language: str = "Auto"
    options: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    clip: Clip | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand a task to a provider, committed to the database before the call leaves.

    ``key`` is the same for every attempt of a task: it serves as idempotency key or look-up reference
    where a vendor knows such a thing. ``number`` counts from 1.
    """

    key: str
    number: int = 1
