"""DashScope's HTTP API as pure functions: ``build_*`` makes the request, ``read_*`` reads the reply.

Paths and bodies from the vendor's pages "qwen-tts-api" (2026-03-15), "qwen-audio-tts-http-api" (October
2026) and "voice-clone-design-http-api" (2026-07-02), and from its Python SDK 2.0.2. Nothing here is ever
sent with ``X-DashScope-Async``: speech has no asynchronous tasks, and the header alone is answered 403.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import httpx

from ttsorch._http import JsonObject, Reply, post_request
from ttsorch.errors import ProviderError, ProviderUnavailable
from ttsorch.models import Clip, JsonValue, ProviderVoice, SpeechRequest, Voice
from ttsorch.providers._qwen.errors import read_failure
from ttsorch.providers._verdicts import cleaned

#: What a request's language may be, and the code that cloning and design know it by.
LANGUAGES: Mapping[str, str] = {
    "Chinese": "zh",
    "English": "en",
    "German": "de",
    "Italian": "it",
    "Portuguese": "pt",
    "Spanish": "es",
    "Japanese": "ja",
    "Korean": "ko",
    "French": "fr",
    "Russian": "ru",
}
_SPELLINGS = {name.casefold(): name for name in LANGUAGES}

_GENERATION = "/api/v1/services/aigc/multimodal-generation/generation"
_SYNTHESIZER = "/api/v1/services/audio/tts/SpeechSynthesizer"
_CUSTOMIZATION = "/api/v1/services/audio/tts/customization"

_LONGEST_URL = 8192
_VOICE_ID = re.compile(r"[\w.:-]{1,256}", re.ASCII)
_MODEL = re.compile(r"[\w.:/-]{1,128}", re.ASCII)
_USAGE_NAME = re.compile(r"[a-z_]{1,40}")
_MOST_USAGE = 16


@dataclass(frozen=True, slots=True)
class Account:
    """Whose voices and whose bill. ``origin`` has no path; ``workspace`` is None for the default one."""

    origin: str
    api_key: str = field(repr=False)
    workspace: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.api_key,)


@dataclass(frozen=True, slots=True)
class Speech:
    """A finished synthesis: ``url`` says where it is, or ``audio`` has it already."""

    receipt: Mapping[str, JsonValue] = field(repr=False)
    url: str | None = field(default=None, repr=False)
    audio: bytes | None = field(default=None, repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MadeVoice:
    """A voice that now exists in the account; ``preview`` is what a designed one sounds like."""

    voice: ProviderVoice
    receipt: Mapping[str, JsonValue] = field(repr=False)
    preview: bytes | None = field(default=None, repr=False)


def is_qwen_tts(model: str) -> bool:
    """Whether ``model`` is of the family that the generation path serves (the SDK's routing rule); all
    others are the synthesizer's."""
    return model.startswith("qwen") and not model.startswith("qwen-audio-")


def build_speech(account: Account, request: SpeechRequest) -> httpx.Request:
    """The synthesis of ``request``, with the model that its voice is bound to. It costs money."""
    model = request.voice.provider_target_model or ""
    spoken: JsonObject = {"text": request.text, "voice": request.voice.provider_voice_id}
    if is_qwen_tts(model):
        language = _SPELLINGS.get(request.language.casefold(), "Auto")
        spoken = {**spoken, "language_type": language, **request.options}
        return _post(account, _GENERATION, {"model": model, "input": spoken})
    spoken = {**spoken, "format": "wav", **request.options}
    return _post(account, _SYNTHESIZER, {"model": model, "input": spoken})


def build_clone(account: Account, draft: Voice, clip: Clip, target_model: str) -> httpx.Request:
    """The enrolment of a voice that sounds like ``clip``, for ``target_model`` alone. It costs money."""
    encoded = base64.b64encode(clip.data).decode("ascii")
    voice: JsonObject = {
        "action": "create",
        "target_model": target_model,
        "preferred_name": preferred_name(draft),
        "audio": {"data": f"data:{clip.content_type};base64,{encoded}"},
        **_language(draft),
    }
    if draft.reference_transcript:
        voice["text"] = draft.reference_transcript
    return _post(account, _CUSTOMIZATION, {"model": "qwen-voice-enrollment", "input": voice})


def build_design(account: Account, draft: Voice, target_model: str) -> httpx.Request:
    """The creation of a voice from a description, with a preview. It costs money."""
    voice: JsonObject = {
        "action": "create",
        "target_model": target_model,
        "voice_prompt": draft.description or "",
        "preview_text": draft.reference_transcript or "",
        "preferred_name": preferred_name(draft),
        **_language(draft),
    }
    parameters: JsonObject = {"sample_rate": 24000, "response_format": "wav"}
    payload: JsonObject = {"model": "qwen-voice-design", "input": voice, "parameters": parameters}
    return _post(account, _CUSTOMIZATION, payload)


def build_voice_action(account: Account, model: str, asked: JsonObject) -> httpx.Request:
    """One exchange about the account's voices; ``asked`` is in the vocabulary of ``model``."""
    return _post(account, _CUSTOMIZATION, {"model": model, "input": asked})


def preferred_name(draft: Voice) -> str:
    """What the vendor puts into the voice's id: at most 16 of ``[A-Za-z0-9_]``, always the same."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", draft.name)[:16].strip("_")
    from_id = re.sub(r"[^A-Za-z0-9]+", "", draft.id)[:10]
    return readable or f"voice_{from_id}".strip("_")


def read_object(reply: Reply, secrets: Sequence[str], sent: Sequence[str] = ()) -> JsonObject:
    """The reply's JSON object.

    Raises:
        ProviderError: it stands for a failure (a 200 may), or isn't JSON; then it is ambiguous.
    """
    failed = read_failure(reply, secrets, sent)
    if failed is not None:
        raise failed
    try:
        return reply.json_object()
    except ProviderError as unreadable:
        # What was paid for can be asked after at the vendor's by this alone.
        unreadable.request_id = cleaned(reply.headers.get("x-request-id", ""), secrets) or None
        raise


def read_speech(
    reply: Reply,
    model: str,
    secrets: Sequence[str],
    *,
    sent: Sequence[str] = (),
    private_hosts: Sequence[str] = (),
) -> Speech:
    """Where the speech is, and until when.

    Raises:
        ProviderError: as :func:`read_object`; ``result_missing``, ambiguous, when there is no link.
    """
    body = read_object(reply, secrets, sent)
    audio = _object(_object(body, "output"), "audio")
    receipt = read_receipt(reply, body, model, secrets)
    url = result_url(audio.get("url"), private_hosts)
    if url is not None:
        return Speech(receipt, url=url, expires_at=_moment(audio.get("expires_at")))
    data = _decoded(audio.get("data"))
    if data is None:
        raise _unusable("result_missing", "without a link to audio", receipt)
    return Speech(receipt, audio=data)


def read_made_voice(
    reply: Reply, target_model: str, kind: str, secrets: Sequence[str], sent: Sequence[str] = ()
) -> MadeVoice:
    """The voice that a clone or a design made. The model is the reply's, if it names one.

    Raises:
        ProviderError: as :func:`read_object`; ``voice_missing``, ambiguous, when it names no voice.
    """
    body = read_object(reply, secrets, sent)
    output = _object(body, "output")
    bound_to = output.get("target_model")
    named = isinstance(bound_to, str) and _MODEL.fullmatch(bound_to)
    model = bound_to if isinstance(bound_to, str) and named else target_model
    receipt = read_receipt(reply, body, model, secrets)
    voice_id = output.get("voice")
    if not isinstance(voice_id, str) or not _VOICE_ID.fullmatch(voice_id):
        raise _unusable("voice_missing", "without a voice", receipt)
    preview = _decoded(_object(output, "preview_audio").get("data"))
    return MadeVoice(ProviderVoice(voice_id, model, kind), receipt, preview)


def read_receipt(
    reply: Reply, body: JsonObject, model: str, secrets: Sequence[str]
) -> dict[str, JsonValue]:
    """What the vendor will bill by: its request id, the model, and its counts."""
    said = body.get("request_id") or reply.headers.get("x-request-id")
    usage = {
        name: amount
        for name, amount in islice(_object(body, "usage").items(), _MOST_USAGE)
        if type(amount) in (int, float) and _USAGE_NAME.fullmatch(name)
    }
    request_id = cleaned(said, secrets) if isinstance(said, str) else None
    return {"request_id": request_id, "model": model, "usage": usage}


def result_url(said: JsonValue, private_hosts: Sequence[str]) -> str | None:
    """The link, raised to https unless its ``host:port`` is a private one; None if it is no http(s) link.

    Only the scheme is rewritten: the rest is signed. Whether it may be fetched, the downloader decides.
    """
    if not isinstance(said, str) or len(said) > _LONGEST_URL:
        return None
    try:
        url = httpx.URL(said)
    except httpx.InvalidURL:
        return None
    if url.scheme not in ("http", "https") or not url.host:
        return None
    if url.scheme == "https" or _host_and_port(url) in private_hosts:
        return said
    # Port 80 of an http link is the same place without a number; as https it would be another one.
    return re.sub(
        r"^http://([^/?#]*?)(?::80)?(?=[/?#]|$)", r"https://\1", said, flags=re.IGNORECASE
    )


def _host_and_port(url: httpx.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or 80}".lower()


def _post(account: Account, path: str, payload: JsonObject) -> httpx.Request:
    headers = {"Authorization": f"Bearer {account.api_key}"}
    if account.workspace is not None:
        headers["X-DashScope-WorkSpace"] = account.workspace
    return post_request(account.origin + path, payload, headers=headers)


def _language(draft: Voice) -> JsonObject:
    name = _SPELLINGS.get(draft.language.casefold())
    return {} if name is None else {"language": LANGUAGES[name]}


def _object(body: JsonObject, name: str) -> JsonObject:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _decoded(data: JsonValue) -> bytes | None:
    if not isinstance(data, str):
        return None
    try:
        return base64.b64decode(data, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _moment(seconds: JsonValue) -> datetime | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _unusable(code: str, what: str, receipt: Mapping[str, JsonValue]) -> ProviderUnavailable:
    """A 2xx that doesn't hold what was paid for: the work may have been done (decision 13)."""
    request_id = receipt["request_id"]
    return ProviderUnavailable(
        code=code,
        detail=f"a success {what}",
        ambiguous=True,
        request_id=request_id if isinstance(request_id, str) else None,
    )
