"""Turns any text-to-speech provider into durable jobs for web backends.

The public names, by topic. Nothing here imports a backend, a driver, an HTTP client or a framework: those
are in ``ttsorch.providers``, ``ttsorch.store``, ``ttsorch.storage``, ``ttsorch.contract`` and
``ttsorch.adapters``, each imported by whoever uses it. A name is looked up when it is first used, so that
who wants an error to catch doesn't wait for the orchestrator.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ttsorch.errors import (
        ActiveJobLimit,
        BlobExists,
        BlobNotFound,
        Category,
        ConfigurationError,
        CorruptResult,
        EffectRefused,
        IdempotencyConflict,
        IllegalTransition,
        InternalError,
        NotFound,
        NotReady,
        ProviderBusy,
        ProviderError,
        ProviderInvalid,
        ProviderRejected,
        ProviderTimeout,
        ProviderUnavailable,
        ResultExpired,
        SchemaTooNew,
        StorageUnavailable,
        SubmitRateLimit,
        TaskCancelled,
        TtsorchError,
        ValidationError,
    )
    from ttsorch.models import (
        Accepted,
        Attempt,
        AudioSource,
        AudioStream,
        BlobInfo,
        BlobStream,
        CancelOutcome,
        Capabilities,
        CheckResult,
        Clip,
        Clock,
        Effect,
        EffectState,
        Envelope,
        ErrorInfo,
        Failed,
        Generation,
        Idempotency,
        Job,
        JsonValue,
        Limits,
        OnUnknown,
        Page,
        Pause,
        Phase,
        Policy,
        ProviderVoice,
        Purged,
        PurgeReport,
        Ready,
        Running,
        SpeechRequest,
        Status,
        StoredAudio,
        StuckTask,
        SubmitResult,
        SweepReport,
        Task,
        TaskKind,
        Ticket,
        Transition,
        Voice,
        VoiceSource,
    )
    from ttsorch.orchestrator import Orchestrator
    from ttsorch.protocols import (
        BlobStore,
        EffectListener,
        Listener,
        Provider,
        RequestChecking,
        TaskStore,
        VoiceCatalog,
        VoiceCloning,
        VoiceDesign,
        VoiceStore,
    )

__version__ = "0.1.0"

__all__ = [
    # the verbs
    "Orchestrator",
    "Policy",
    "Limits",
    "SweepReport",
    "PurgeReport",
    # what goes in
    "SpeechRequest",
    "Voice",
    "VoiceSource",
    # what comes out
    "Job",
    "Task",
    "Generation",
    "Status",
    "Phase",
    "TaskKind",
    "StoredAudio",
    "ErrorInfo",
    "Page",
    "Pause",
    "StuckTask",
    "Transition",
    "Effect",
    "EffectState",
    # what a backend is
    "Provider",
    "RequestChecking",
    "VoiceCatalog",
    "VoiceCloning",
    "VoiceDesign",
    "TaskStore",
    "VoiceStore",
    "BlobStore",
    "Listener",
    "EffectListener",
    # what a provider answers
    "Attempt",
    "Clip",
    "Accepted",
    "Ready",
    "ProviderVoice",
    "Running",
    "Failed",
    "SubmitResult",
    "CheckResult",
    "CancelOutcome",
    "Ticket",
    "Envelope",
    "AudioStream",
    "AudioSource",
    "Capabilities",
    "Idempotency",
    "OnUnknown",
    # what a store holds
    "BlobInfo",
    "BlobStream",
    "Purged",
    "Clock",
    "JsonValue",
    # what can go wrong
    "TtsorchError",
    "Category",
    "ValidationError",
    "NotFound",
    "IdempotencyConflict",
    "ActiveJobLimit",
    "SubmitRateLimit",
    "ConfigurationError",
    "ProviderError",
    "ProviderUnavailable",
    "ProviderBusy",
    "NotReady",
    "ResultExpired",
    "CorruptResult",
    "ProviderRejected",
    "ProviderInvalid",
    "ProviderTimeout",
    "StorageUnavailable",
    "BlobNotFound",
    "BlobExists",
    "SchemaTooNew",
    "TaskCancelled",
    "EffectRefused",
    "IllegalTransition",
    "InternalError",
]


#: Where the names live; each is defined in the first of these that has it.
_HOMES = ("errors", "models", "protocols", "orchestrator")

if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return import_module(f"ttsorch.{name}")
        if name in __all__:
            for home in _HOMES:
                found = vars(import_module(f"ttsorch.{home}"))
                if name in found:
                    # From now on it is found without us.
                    return globals().setdefault(name, found[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_HOMES, *(name for name in globals() if name.startswith("__"))})
