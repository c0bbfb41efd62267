"""Cloned and designed voices of one DashScope account: every action is a POST to one route, with the verb in
the body.

Qwen voices (``qwen-voice-enrollment``, ``qwen-voice-design``) are ready when they are made
(https://www.alibabacloud.com/help/en/model-studio/voice-clone-design-http-api, 2026-07-02).
"""

import base64
import io
import re
import secrets
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ttsorch.models import JsonValue
from ttsorch.testing._dashscope.clips import check_clip
from ttsorch.testing._dashscope.wire import (
    Refused,
    Switches,
    Throttle,
    choice_of,
    invalid,
    section,
    text_of,
    throttled,
)
from ttsorch.testing.speakers import Speaker
from ttsorch.testing.vendor_ledger import VendorLedger

#: Models that clone and design voices for the Qwen3-TTS family.
CLONING = "qwen-voice-enrollment"
DESIGNING = "qwen-voice-design"

# ``auto`` isn't one of them.
_LANGUAGES = frozenset({"zh", "en", "de", "it", "pt", "es", "ja", "ko", "fr", "ru"})
_NAME = re.compile(r"[A-Za-z0-9_]{1,16}")
_TARGETS: Mapping[str, re.Pattern[str]] = {
    CLONING: re.compile(r"qwen3-tts-vc-(realtime-)?\d{4}-\d{2}-\d{2}"),
    DESIGNING: re.compile(r"qwen3-tts-vd-(realtime-)?\d{4}-\d{2}-\d{2}"),
}
_SAMPLE_RATES = frozenset({8000, 16000, 24000, 48000})
_FORMATS = frozenset({"pcm", "wav", "mp3", "opus"})

_MOST_PROMPT_CHARS = 2048
_MOST_PREVIEW_CHARS = 1024


@dataclass(slots=True)
class EnrolledVoice:
    """A voice of the account, usable with ``target_model`` alone. ``made_by`` is the model that made it;
    ``deploying_answers`` is how often it is still reported as being deployed."""

    id: str
    made_by: str
    target_model: str
    created: datetime
    modified: datetime
    about: dict[str, str] = field(default_factory=dict, repr=False)
    deploying_answers: int = 0
    undeployed: bool = False

    @property
    def status(self) -> str:
        """``DEPLOYING``, then ``OK`` or ``UNDEPLOYED``."""
        if self.deploying_answers > 0:
            return "DEPLOYING"
        return "UNDEPLOYED" if self.undeployed else "OK"


class Account:
    """The voices of one account by id, in the order they were made, and what making one takes."""

    def __init__(
        self,
        speak: Speaker,
        ledger: VendorLedger,
        switches: Switches,
        clock: Callable[[], datetime],
        max_voices: int,
    ) -> None:
        self.voices: dict[str, EnrolledVoice] = {}
        self.switches = switches
        self.ledger = ledger
        self.clock = clock
        self.max_voices = max_voices
        self._speak = speak

    def check_room(self) -> None:
        """Raise :class:`Refused` when the account has all the voices it may have."""
        if len(self.voices) >= self.max_voices:
            raise throttled(Throttle.VOICE_STORAGE)

    def made_by(self, model: str) -> list[EnrolledVoice]:
        """The voices that ``model`` made."""
        return [voice for voice in self.voices.values() if voice.made_by == model]

    def find(self, model: str, voice_id: str, code: str) -> EnrolledVoice:
        """One of the voices that ``model`` made, or :class:`Refused` with ``code``."""
        voice = self.voices.get(voice_id)
        if voice is None or voice.made_by != model:
            raise Refused(400, code, "The voice does not exist.")
        return voice

    def add(self, voice_id: str, made_by: str, target_model: str) -> EnrolledVoice:
        """Store a new voice."""
        now = self.clock()
        voice = self.voices[voice_id] = EnrolledVoice(voice_id, made_by, target_model, now, now)
        return voice

    async def preview(self, text: str) -> Mapping[str, JsonValue]:
        """``preview_audio`` of a designed voice. Its sample rate is that of the audio, whatever was asked."""
        audio = await self._speak(text)
        with wave.open(io.BytesIO(audio)) as wav:
            rate = wav.getframerate()
        data = base64.b64encode(audio).decode()
        return {"data": data, "sample_rate": rate, "response_format": "wav"}


class QwenVoices:
    """The actions of ``qwen-voice-enrollment`` and ``qwen-voice-design``."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def act(self, model: str, body: Mapping[str, object]) -> tuple[JsonValue, JsonValue]:
        """Do one action; its ``output`` (None: there is none) and ``usage``."""
        given = section(body, "input")
        action = given.get("action")
        if action == "create" and model == CLONING:
            return self._clone(given), {"count": 1}
        if action == "create":
            return await self._design(given, section(body, "parameters", required=False)), {
                "count": 1
            }
        if action == "list":
            return self._list(model, given), {"count": 0}
        if action in ("query", "delete"):
            voice_id = text_of(given, "voice")
            voice = self._account.find(model, voice_id, "BadRequest.VoiceNotFound")
            if action == "query":
                return _described(voice), {"count": 0}
            del self._account.voices[voice_id]
            return None, {"count": 0}
        raise invalid("action is not one of the supported values.")

    def _clone(self, given: Mapping[str, object]) -> JsonValue:
        target_model = _target_model(CLONING, given)
        name = _preferred_name(given)
        check_clip(text_of(section(given, "audio"), "data"))
        language = choice_of(given, "language", _LANGUAGES)
        if given.get("text") is not None:
            text_of(given, "text")
        self._account.check_room()
        voice = self._account.add(self._new_id("vc", name), CLONING, target_model)
        voice.about = {"language": language or "zh"}
        self._account.ledger.accept(voice.id, name, "clone")
        return {"voice": voice.id, "target_model": target_model}

    async def _design(
        self, given: Mapping[str, object], parameters: Mapping[str, object]
    ) -> JsonValue:
        target_model = _target_model(DESIGNING, given)
        name = _preferred_name(given)
        prompt, preview_text = design_of(given, parameters)
        language = choice_of(given, "language", _LANGUAGES)
        self._account.check_room()
        preview = await self._account.preview(preview_text)
        voice = self._account.add(self._new_id("vd", name), DESIGNING, target_model)
        voice.about = {
            "language": language or "zh",
            "voice_prompt": prompt,
            "preview_text": preview_text,
        }
        self._account.ledger.accept(voice.id, prompt, "design")
        return {"voice": voice.id, "target_model": target_model, "preview_audio": preview}

    def _new_id(self, kind: str, name: str) -> str:
        stamp = f"{self._account.clock():%Y%m%d%H%M%S%f}"[:17]
        return f"qwen-tts-{kind}-{name}-voice-{stamp}-{secrets.token_hex(2)}"

    def _list(self, model: str, given: Mapping[str, object]) -> JsonValue:
        voices = self._account.made_by(model)
        page, size, index = page_of(voices, given)
        described = tuple(_described(voice) for voice in page)
        if model == CLONING:
            return {"voice_list": described}
        counts = {"total_count": len(voices), "page_size": size, "page_index": index}
        return {**counts, "voice_list": described}


def design_of(given: Mapping[str, object], parameters: Mapping[str, object]) -> tuple[str, str]:
    """The checked prompt and preview text of a design. The vendor makes previews in four formats, the fake
    in WAV alone."""
    prompt = text_of(given, "voice_prompt", most=_MOST_PROMPT_CHARS)
    preview_text = text_of(given, "preview_text", most=_MOST_PREVIEW_CHARS)
    choice_of(parameters, "sample_rate", _SAMPLE_RATES)
    choice_of(parameters, "response_format", _FORMATS)
    return prompt, preview_text


def page_of(
    voices: list[EnrolledVoice], given: Mapping[str, object]
) -> tuple[list[EnrolledVoice], int, int]:
    """One page, its size (10 unless asked for) and its index (from 0)."""
    size = given.get("page_size", 10)
    index = given.get("page_index", 0)
    if not isinstance(size, int) or not isinstance(index, int) or size < 1 or index < 0:
        raise invalid("page_size and page_index must be whole numbers from 1 and 0 on.")
    return voices[index * size : (index + 1) * size], size, index


def moment(at: datetime) -> str:
    """A time as DashScope writes it in voice lists."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _described(voice: EnrolledVoice) -> Mapping[str, JsonValue]:
    return {
        "voice": voice.id,
        "gmt_create": moment(voice.created),
        "target_model": voice.target_model,
        **voice.about,
    }


def _target_model(model: str, given: Mapping[str, object]) -> str:
    target_model = text_of(given, "target_model")
    if not _TARGETS[model].fullmatch(target_model):
        raise invalid("target_model is not one of the supported values.")
    return target_model


def _preferred_name(given: Mapping[str, object]) -> str:
    name = text_of(given, "preferred_name")
    if not _NAME.fullmatch(name):
        raise invalid("preferred_name must be 1 to 16 letters, digits or underscores.")
    return name
