"""Which voice somebody means."""

from collections.abc import Sequence

from ttsorch.config import Config, open_orchestrator
from ttsorch.errors import ValidationError
from ttsorch.models import Voice
from ttsorch.orchestrator import Orchestrator

_PER_PAGE = 100
_SHOWN = 10


async def usable_voices(orchestrator: Orchestrator, owner: str) -> Sequence[Voice]:
    """The owner's own voices that the provider can speak with, then the provider's."""
    voices: list[Voice] = []
    page, pages = 1, 1
    while orchestrator.voices is not None and page <= pages:
        found = await orchestrator.voices.list_voices(owner, page=page, per_page=_PER_PAGE)
        # A voice that was made for another provider comes back when that one is chosen.
        speaker = orchestrator.provider.name
        voices += [voice for voice in found.items if voice.tts_provider == speaker]
        page, pages = page + 1, found.pages
    return [*voices, *await orchestrator.builtin_voices()]


async def list_voices(
    config: Config, owner: str, *, search: str, language: str | None
) -> Sequence[Voice]:
    """The usable voices of a language whose name or description holds ``search``, in any case."""
    async with open_orchestrator(config, background=False) as orchestrator:
        voices = await usable_voices(orchestrator, owner)
    wanted = search.casefold()
    return [
        voice
        for voice in voices
        if wanted in f"{voice.name}\n{voice.description}".casefold()
        and (language is None or speaks(voice, language))
    ]


def choose_voice(voices: Sequence[Voice], wanted: str | None, *, language: str = "Auto") -> Voice:
    """The voice called ``wanted``: its id, its name, its name at the provider, or any part of its name
    that no other voice's has. Without ``wanted``, a built-in one that speaks ``language``, or English.

    Raises:
        ValidationError: ``voice_unknown``; ``voice_required``, if only voices of one's own could be
            guessed; ``voice_ambiguous``, and then the message lists some.
    """
    if wanted is None:
        return _default_voice(voices, language)
    key = wanted.strip().casefold()
    found = [voice for voice in voices if key in _exact_names(voice)]
    found = found or [voice for voice in voices if key and key in voice.name.casefold()]
    if not found:
        raise ValidationError(
            f"There is no voice '{wanted:.80}'. See: ttsorch voices",
            code="voice_unknown",
            field="voice",
        )
    if len(found) > 1:
        raise _ambiguous(wanted, found)
    return found[0]


def speaks(voice: Voice, language: str) -> bool:
    """Whether it is a voice of that language, by its name or its code ("English", "en", "en-GB"), or of
    any language ("Auto")."""
    own, wanted = voice.language.casefold(), language.casefold()
    return own in (wanted, "auto") or own.partition("-")[0] == wanted


def _exact_names(voice: Voice) -> set[str]:
    names = {voice.id.casefold(), voice.name.casefold()}
    if voice.provider_voice_id is not None:
        at_provider = voice.provider_voice_id.casefold()
        # Some providers file their voices in folders: "gmw/en-us".
        names |= {at_provider, at_provider.rpartition("/")[2]}
    return names


def _default_voice(voices: Sequence[Voice], language: str) -> Voice:
    # A voice of one's own is never used unasked.
    candidates = [voice for voice in voices if voice.owner is None]
    if not candidates and voices:
        raise ValidationError(
            "This provider has no built-in voices. Name one of your own with --voice;"
            " ttsorch voices lists them.",
            code="voice_required",
            field="voice",
        )
    if not candidates:
        raise ValidationError(
            "This provider has no built-in voices, and you have none of your own.",
            code="voice_unknown",
            field="voice",
        )
    wanted = ("english", "en") if language.casefold() == "auto" else (language,)
    fitting = [voice for voice in candidates if any(speaks(voice, name) for name in wanted)]
    return (fitting or candidates)[0]


def _ambiguous(wanted: str, found: Sequence[Voice]) -> ValidationError:
    shown = "\n".join(f"  {voice.id}  {voice.name}" for voice in found[:_SHOWN])
    more = f"\n  and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ValidationError(
        f"'{wanted:.80}' can mean {len(found)} voices:\n{shown}{more}",
        code="voice_ambiguous",
        field="voice",
    )
