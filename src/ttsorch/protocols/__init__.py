"""What a backend has to be. The docstrings are the specification; ``ttsorch.testing`` checks them.

A backend is any object with these methods: nothing to inherit, nothing to register. It never sees the
orchestrator, knows no transition, and closes only what it opened.

Errors: a store or blob store that can't answer raises :class:`~ttsorch.errors.StorageUnavailable`; a
provider raises :class:`~ttsorch.errors.ProviderError`. Anything else is a bug.
"""

from ttsorch.protocols.blobs import BlobStore
from ttsorch.protocols.listeners import EffectListener, Listener
from ttsorch.protocols.providers import (
    Provider,
    RequestChecking,
    VoiceCatalog,
    VoiceCloning,
    VoiceDesign,
)
from ttsorch.protocols.tasks import TaskStore
from ttsorch.protocols.voices import VoiceStore

__all__ = [
    "BlobStore",
    "EffectListener",
    "Listener",
    "Provider",
    "RequestChecking",
    "TaskStore",
    "VoiceCatalog",
    "VoiceCloning",
    "VoiceDesign",
    "VoiceStore",
]
