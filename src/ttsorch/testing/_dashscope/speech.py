"""Speech from DashScope's two synthesis routes, one per family of models. Both answer with a URL.

https://www.alibabacloud.com/help/en/model-studio/qwen-tts-api (2026-03-15). Where the vendor isn't known to
refuse or to ignore something that its documentation rules out, the fake refuses: a client that sends it is
wrong either way.
"""

import re
from collections.abc import Mapping

from ttsorch.models import JsonValue
from ttsorch.testing._dashscope.results import ResultStore
from ttsorch.testing._dashscope.voices import Account
from ttsorch.testing._dashscope.wire import (
    Refused,
    choice_of,
    invalid,
    section,
    text_of,
)
from ttsorch.testing.speakers import Speaker

QWEN_PATH = "/api/v1/services/aigc/multimodal-generation/generation"
SPEECH_PATH = "/api/v1/services/audio/tts/SpeechSynthesizer"

#: Names that were confirmed; the vendor has more, and no API that lists them.
SYSTEM_VOICES = frozenset(
    [
        "Cherry",
        "Serena",
        "Ethan",
        "Chelsie",
        "Momo",
        "Vivian",
        "Moon",
        "Maia",
        "Kai",
        "Nofish",
        "Bella",
        "Jennifer",
        "Ryan",
        "Katerina",
        "Elias",
        "Jada",
        "Dylan",
        "Sunny",
        "li",
        "Marcus",
        "Roy",
        "Peter",
        "Rocky",
        "Kiki",
        "Eric",
    ]
)
#: What the instruct models have besides.
INSTRUCT_VOICES = frozenset(
    [
        "Mia",
        "Mochi",
        "Bellona",
        "Vincent",
        "Bunny",
        "Neil",
        "Arthur",
        "Nini",
        "Seren",
        "Pip",
        "Stella",
    ]
) | {"Eldric Sage"}

_FLASH = re.compile(r"qwen3-tts-flash(-2025-11-27|-2025-09-18)?")
_INSTRUCT = re.compile(r"qwen3-tts-instruct-flash(-2026-01-26)?")
_CUSTOM = re.compile(r"qwen3-tts-(vc-2026-01-22|vd-2026-01-26)")
_LEGACY = re.compile(r"qwen-tts(-latest|-2025-05-22|-2025-04-10)?")
_QWEN = (_FLASH, _INSTRUCT, _CUSTOM, _LEGACY)
_SPEECH = (
    re.compile(r"qwen-audio-3\.0-tts-(flash|plus)|qwen-audio-3\.1-tts-flash"),
    re.compile(r"cosyvoice-v\d+(\.\d+)?(-flash|-plus)?"),
)

_LANGUAGES = frozenset(
    [
        "Auto",
        "Chinese",
        "English",
        "German",
        "Italian",
        "Portuguese",
        "Spanish",
        "Japanese",
        "Korean",
        "French",
        "Russian",
    ]
)
_FORMATS = frozenset({"mp3", "pcm", "wav", "opus"})
_SAMPLE_RATES = range(8000, 48_001)

# Han characters are billed as two (the CJK Unified Ideographs blocks and their extensions).
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class Synthesizer:
    """Checks a request, speaks, and keeps the audio where the answer says."""

    def __init__(
        self, account: Account, results: ResultStore, speak: Speaker, max_chars: int
    ) -> None:
        self._account = account
        self._results = results
        self._speak = speak
        self._max_chars = max_chars

    async def synthesize(
        self, path: str, body: Mapping[str, object]
    ) -> tuple[JsonValue, JsonValue]:
        """Do the work; its ``output`` and ``usage``."""
        model = _model_for(path, body)
        given = section(body, "input")
        text = text_of(given, "text", most=self._max_chars)
        if path == QWEN_PATH:
            _check_qwen_options(model, given)
        else:
            _check_speech_options(given)
        self._check_voice(model, text_of(given, "voice"))
        audio = await self._speak(text)
        switches = self._account.switches
        signed = self._results.keep(audio)
        self._account.ledger.accept(signed.id, text)
        sound: dict[str, JsonValue] = {
            "data": "",
            "url": signed.url,
            "id": signed.id,
            "expires_at": signed.expires_at,
        }
        if switches.no_url > 0:
            switches.no_url -= 1
            del sound["url"]
        output: Mapping[str, JsonValue] = {
            "text": None,
            "finish_reason": "stop",
            "choices": None,
            "audio": sound,
        }
        return output, _usage(model, text)

    def _check_voice(self, model: str, name: str) -> None:
        voice = self._account.voices.get(name)
        if voice is None:
            if _CUSTOM.fullmatch(model) or name not in _system_voices(model):
                raise invalid("The voice does not exist for this model.")
        elif voice.target_model != model:
            raise invalid("The voice was made for another model than the one of this request.")
        elif voice.status != "OK":
            raise invalid("The voice is not deployed.")


def _system_voices(model: str) -> frozenset[str]:
    if _INSTRUCT.fullmatch(model):
        return SYSTEM_VOICES | INSTRUCT_VOICES
    return SYSTEM_VOICES


def _model_for(path: str, body: Mapping[str, object]) -> str:
    model = text_of(body, "model")
    ours, others = (_QWEN, _SPEECH) if path == QWEN_PATH else (_SPEECH, _QWEN)
    if any(family.fullmatch(model) for family in others):
        raise invalid("url error, please check url!")
    if not any(family.fullmatch(model) for family in ours):
        raise Refused(
            404, "ModelNotFound", "The model does not exist or you do not have access to it."
        )
    return model


def _check_qwen_options(model: str, given: Mapping[str, object]) -> None:
    choice_of(given, "language_type", _LANGUAGES)
    if given.get("instructions") is not None:
        if not _INSTRUCT.fullmatch(model):
            raise invalid("This model takes no instructions.")
        text_of(given, "instructions")
    if not isinstance(given.get("optimize_instructions", False), bool):
        raise invalid("optimize_instructions must be true or false.")


def _check_speech_options(given: Mapping[str, object]) -> None:
    choice_of(given, "format", _FORMATS)
    if given.get("sample_rate", 24_000) not in _SAMPLE_RATES:
        raise invalid("Range of sample_rate should be [8000, 48000].")


def _usage(model: str, text: str) -> JsonValue:
    if _LEGACY.fullmatch(model):
        # The vendor's tokenizer isn't public: one token a character has the right shape, no more.
        asked, spoken = len(text), 2 * len(text)
        return {"input_tokens": asked, "output_tokens": spoken, "total_tokens": asked + spoken}
    return {"characters": len(text) + len(_HAN.findall(text))}
