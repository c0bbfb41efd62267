"""The system voices of Qwen-TTS: a table, because no API lists them.

Names from the vendor's model pages (qwen3-tts-flash, qwen3-tts-instruct-flash; early 2026). The vendor adds
voices without notice, so a name that isn't here is still sent as it is.
"""

import uuid

from ttsorch.models import Voice, VoiceSource

#: Part of every voice's id, and so of rows that hold one: never change it.
_NAMESPACE = uuid.UUID("8c8f3e0a-51c9-4a0e-9d5b-6f6f3a5b7f1e")

_BOTH = (
    *("Cherry", "Serena", "Ethan", "Chelsie", "Momo", "Vivian", "Moon", "Maia", "Kai", "Nofish"),
    "Bella",
)
_FLASH = (
    *_BOTH,
    *("Jennifer", "Ryan", "Katerina", "Elias", "Jada", "Dylan", "Sunny", "li", "Marcus", "Roy"),
    *("Peter", "Rocky", "Kiki", "Eric"),
)
_INSTRUCT = (
    *_BOTH,
    *("Eldric Sage", "Mia", "Mochi", "Bellona", "Vincent", "Bunny", "Neil", "Elias", "Arthur"),
    *("Nini", "Seren", "Pip", "Stella"),
)


def system_voices(model: str) -> tuple[Voice, ...]:
    """The voices that ``model`` speaks with; none for a model outside the Qwen3-TTS family, whose voices
    have other names."""
    if not model.startswith("qwen3-tts-"):
        return ()
    names = _INSTRUCT if "instruct" in model else _FLASH
    return tuple(_published(name, model) for name in names)


def _published(name: str, model: str) -> Voice:
    return Voice(
        # Without the model: a host that moves to another snapshot keeps its voices' ids.
        id=str(uuid.uuid5(_NAMESPACE, f"qwen:{name}")),
        name=name,
        tts_provider="qwen",
        source=VoiceSource.BUILTIN,
        provider_voice_id=name,
        provider_target_model=model,
        provider_voice_kind="system",
    )
