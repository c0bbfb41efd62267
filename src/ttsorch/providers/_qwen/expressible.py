"""What can be asked of Qwen at all, decided before anything is written or sent."""

import sys
from collections.abc import Mapping

from ttsorch.errors import ValidationError
from ttsorch.models import JsonValue, SpeechRequest
from ttsorch.providers._qwen.settings import Models
from ttsorch.providers._qwen.wire import is_qwen_tts

_TEXT, _NUMBER, _SWITCH = "a text", "a number", "true or false"

_OF_INSTRUCT: Mapping[str, str] = {"instructions": _TEXT, "optimize_instructions": _SWITCH}
_OF_SYNTHESIZER: Mapping[str, str] = {
    "format": _TEXT,
    "sample_rate": _NUMBER,
    "volume": _NUMBER,
    "rate": _NUMBER,
    "pitch": _NUMBER,
    "bit_rate": _NUMBER,
    "enable_ssml": _SWITCH,
}


def check_expressible(request: SpeechRequest, models: Models) -> None:
    """Refuse a voice that is bound to nothing, or to another model, and options the model doesn't have.

    Raises:
        ValidationError: the contract's sentences (section 3) with 409: ``voice_metadata_missing``,
            ``voice_model_unsupported``, ``voice_model_mismatch``; for options with 400:
            ``param_unknown``, ``param_invalid``.
    """
    _check_binding(request, models)
    understood = options_of(request.voice.provider_target_model or "")
    for name, value in request.options.items():
        if name not in understood:
            raise _unknown(name, understood)
        if not _is(understood[name], value):
            raise ValidationError(
                f"{name} must be {understood[name]}.", code="param_invalid", field=name
            )
    if str(request.options.get("format")).casefold() == "pcm":
        raise ValidationError(
            "format must be one with a header: raw samples can't be stored.",
            code="param_invalid",
            field="format",
        )


def options_of(model: str) -> Mapping[str, str]:
    """The options that ``model`` understands, each with what its value has to be. Ranges are the
    vendor's business."""
    if not is_qwen_tts(model):
        return _OF_SYNTHESIZER
    return _OF_INSTRUCT if "instruct" in model else {}


def _check_binding(request: SpeechRequest, models: Models) -> None:
    voice = request.voice
    kind, model = voice.provider_voice_kind, voice.provider_target_model
    expected = models.of_kind(kind)
    if not (voice.provider_voice_id and model and expected):
        raise _conflict(
            "voice_metadata_missing",
            "Voice is missing qwen provider metadata. Re-clone or redesign this voice.",
        )
    # The system model is for the vendor's own voices only, and they have no other (contract, section 3).
    if model not in ((models.system,) if kind == "system" else (models.vc, models.vd)):
        raise _conflict(
            "voice_model_unsupported",
            "Voice target model is not supported by current qwen rollout configuration.",
        )
    if model != expected:
        raise _conflict("voice_model_mismatch", f"Voice/provider model mismatch ({kind}).")


def _is(wanted: str, value: JsonValue) -> bool:
    if wanted == _TEXT:
        return isinstance(value, str)
    if wanted == _SWITCH:
        return isinstance(value, bool)
    # A bool is an int to Python, and a JSON true is nobody's sample rate.
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    # An int may be larger than any float, and then can't even be asked whether it is finite.
    return abs(value) <= sys.float_info.max


def _unknown(name: str, understood: Mapping[str, str]) -> ValidationError:
    expected = f"Expected one of: {', '.join(understood)}." if understood else "It has none."
    return ValidationError(
        f"The model of this voice has no option '{name:.40}'. {expected}",
        code="param_unknown",
        field=name,
    )


def _conflict(code: str, sentence: str) -> ValidationError:
    return ValidationError(sentence, code=code, field="voice_id", http_status=409)
