"""From a request to what the engine is told: pure, so that a bad request costs no process."""

from collections.abc import Mapping
from dataclasses import dataclass

from ttsorch.errors import ValidationError
from ttsorch.models import JsonValue, SpeechRequest
from ttsorch.providers._espeak.catalog import Catalog
from ttsorch.providers._espeak.language import reading_voice
from ttsorch.providers._espeak.text import speakable

#: Option to its lowest and highest value and its default: words per minute; 0 to 99; percent.
_NUMBERS = {"rate": (80, 450, 175), "pitch": (0, 99, 50), "volume": (0, 200, 100)}
_OPTIONS = (*_NUMBERS, "variant")
_SHOWN_VARIANTS = 20


@dataclass(frozen=True, slots=True)
class EngineJob:
    """What the engine is told. ``voice`` is in its own notation, a variant after a plus sign."""

    voice: str
    text: str
    rate: int
    pitch: int
    volume: int


def build_job(request: SpeechRequest, catalog: Catalog) -> EngineJob:
    """The job that speaks ``request``.

    Raises:
        ValidationError: ``voice_unknown``, ``language_unsupported``, ``param_invalid`` or
            ``param_unknown``; ``field`` names what is wrong.
    """
    for option in request.options:
        if option not in _OPTIONS:
            raise ValidationError(
                f"Unknown option '{option:.40}'. Expected one of: {', '.join(_OPTIONS)}.",
                code="param_unknown",
                field=option,
            )
    chosen = catalog.voice(request.voice.provider_voice_id)
    if chosen is None:
        raise ValidationError(
            "The speech engine does not have this voice.", code="voice_unknown", field="voice_id"
        )
    reading = reading_voice(catalog, chosen, request.language, request.text)
    return EngineJob(
        voice=reading.identifier + _variant(request.options, catalog),
        text=speakable(request.text),
        rate=_number(request.options, "rate"),
        pitch=_number(request.options, "pitch"),
        volume=_number(request.options, "volume"),
    )


def _number(options: Mapping[str, JsonValue], name: str) -> int:
    low, high, default = _NUMBERS[name]
    value = options.get(name, default)
    # A bool is an int to Python, and a JSON true is nobody's words per minute.
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _invalid(name, f"{name} must be a whole number from {low} to {high}.")
    return value


def _variant(options: Mapping[str, JsonValue], catalog: Catalog) -> str:
    if "variant" not in options:
        return ""
    value = options["variant"]
    if not isinstance(value, str) or value not in catalog.variants:
        names = sorted(catalog.variants, key=lambda name: (len(name), name.casefold()))
        shown = ", ".join(names[:_SHOWN_VARIANTS])
        raise _invalid("variant", f"variant must be the name of a voice variant: {shown}, …")
    return f"+{value}"


def _invalid(name: str, message: str) -> ValidationError:
    return ValidationError(message, code="param_invalid", field=name)
