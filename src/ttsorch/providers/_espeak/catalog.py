"""What espeak-ng can speak, read from its data folder.

The engine would list its voices itself, but only inside a process that has loaded it, and the list is
needed where no process can be waited for. It also lists voices whose dictionary was not packed; those
stay mute, so they are left out here.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ttsorch.models import Voice, VoiceSource

#: Part of every voice's id, and so of rows that hold one: never change it.
_NAMESPACE = uuid.UUID("5b0d2f0e-6a52-4f0b-9d0c-0f3a1c7e4b68")

#: What the engine assumes when a voice file gives a language no priority; a lower one is preferred.
_DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class EngineVoice:
    """One file of the engine's ``lang`` folder: a language, or a dialect of one.

    ``identifier`` is what the engine loads it by. ``codes`` are the language codes it answers to, lower
    case, its own first, each with the engine's priority.
    """

    identifier: str
    name: str
    codes: Mapping[str, int]

    @property
    def code(self) -> str:
        """The voice's own language code."""
        return next(iter(self.codes))

    @property
    def family(self) -> str:
        """The language without the dialect: "English" of "English (America)"."""
        return self.name.partition(" (")[0]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All voices by name, and the names of the timbres that can be laid over any of them."""

    voices: tuple[EngineVoice, ...]
    variants: frozenset[str]

    def voice(self, identifier: str | None) -> EngineVoice | None:
        return next((voice for voice in self.voices if voice.identifier == identifier), None)

    def languages(self) -> tuple[str, ...]:
        """The names that a request's language may have: every language, and every dialect of it."""
        names = {name for voice in self.voices for name in (voice.family, voice.name)}
        return tuple(sorted(names, key=str.casefold))

    def speaking(self, language: str) -> tuple[EngineVoice, ...]:
        """The voices that answer to a name or a code, the best first."""
        wanted = language.strip().casefold()
        found = [voice for voice in self.voices if _answers_to(voice, wanted)]
        return tuple(sorted(found, key=lambda voice: _rank(voice, wanted)))


def read_catalog(data: Path) -> Catalog:
    """Read the engine's data folder: some 140 small files.

    Raises:
        OSError: it isn't there.
    """
    files = sorted(path for path in (data / "lang").rglob("*") if path.is_file())
    voices = [
        _read_voice(path, path.relative_to(data / "lang").as_posix())
        for path in files
        if _dictionary(path, data).is_file()
    ]
    return Catalog(
        voices=tuple(sorted(voices, key=lambda voice: (voice.name.casefold(), voice.identifier))),
        variants=frozenset(path.name for path in (data / "voices" / "!v").iterdir()),
    )


def published(voice: EngineVoice) -> Voice:
    """The voice as clients see it. Its id is the same on every machine."""
    return Voice(
        id=str(uuid.uuid5(_NAMESPACE, f"local:{voice.identifier}")),
        name=voice.name,
        tts_provider="local",
        source=VoiceSource.BUILTIN,
        language=voice.family,
        description=f"espeak-ng, {voice.code}",
        provider_voice_id=voice.identifier,
        provider_voice_kind="builtin",
    )


def _read_voice(path: Path, identifier: str) -> EngineVoice:
    name, codes = identifier, dict[str, int]()
    for key, value in _attributes(path):
        if key == "name":
            name = value
        elif key == "language":
            code, _, priority = value.partition(" ")
            codes[code.lower()] = int(priority or _DEFAULT_PRIORITY)
    return EngineVoice(identifier, name, codes)


def _dictionary(path: Path, data: Path) -> Path:
    """The pronunciation dictionary of a voice file: the one it names, else its own language's."""
    attributes = list(_attributes(path))
    named = [value for key, value in attributes if key == "dictionary"]
    spoken = [value.partition(" ")[0] for key, value in attributes if key == "language"]
    name = named[0] if named else spoken[0].partition("-")[0]
    return data / f"{name}_dict"


def _attributes(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text("utf-8").splitlines():
        key, _, value = line.partition("//")[0].strip().partition(" ")
        yield key, value.strip()


def _answers_to(voice: EngineVoice, wanted: str) -> bool:
    return wanted in voice.codes or wanted in (voice.name.casefold(), voice.family.casefold())


def _rank(voice: EngineVoice, wanted: str) -> tuple[int, int, str]:
    # A dialect's file lies deeper than its language's, or has a longer name: "roa/es-419", "roa/es".
    priority = voice.codes.get(wanted, min(voice.codes.values()))
    return priority, len(voice.identifier), voice.identifier
