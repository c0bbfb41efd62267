"""The records that everything else passes around: frozen, plain, and without behaviour of their own.

A *task* is the durable job; a *generation* is what the user's history shows. They are written together,
always, as a :class:`Job`. A provider only ever sees :class:`SpeechRequest` and :class:`Attempt`.
"""

from ttsorch.models.answers import (
    Accepted,
    AudioSource,
    AudioStream,
    CancelOutcome,
    CheckResult,
    Failed,
    Ready,
    Running,
    SubmitResult,
)
from ttsorch.models.blobs import BlobInfo, BlobStream
from ttsorch.models.capabilities import Capabilities, Idempotency, OnUnknown
from ttsorch.models.clock import Clock
from ttsorch.models.effects import Effect, EffectState
from ttsorch.models.failures import ErrorInfo
from ttsorch.models.json_values import Envelope, JsonValue, Ticket
from ttsorch.models.operations import Pause, Purged, PurgeReport, StuckTask, SweepReport
from ttsorch.models.pages import Item, Page
from ttsorch.models.phases import Phase, Status, TaskKind
from ttsorch.models.policy import NO_LIMITS, Limits, Policy
from ttsorch.models.speech import Attempt, Clip, ProviderVoice, SpeechRequest, Voice, VoiceSource
from ttsorch.models.tasks import Generation, Job, StoredAudio, Task, Transition

__all__ = [
    "Accepted",
    "Attempt",
    "AudioSource",
    "AudioStream",
    "BlobInfo",
    "BlobStream",
    "CancelOutcome",
    "Capabilities",
    "CheckResult",
    "Clip",
    "Clock",
    "Effect",
    "EffectState",
    "Envelope",
    "ErrorInfo",
    "Failed",
    "Generation",
    "Idempotency",
    "Item",
    "Job",
    "JsonValue",
    "Limits",
    "NO_LIMITS",
    "OnUnknown",
    "Page",
    "Pause",
    "Phase",
    "Policy",
    "ProviderVoice",
    "PurgeReport",
    "Purged",
    "Ready",
    "Running",
    "SpeechRequest",
    "Status",
    "StoredAudio",
    "StuckTask",
    "SubmitResult",
    "SweepReport",
    "Task",
    "TaskKind",
    "Ticket",
    "Transition",
    "Voice",
    "VoiceSource",
]
