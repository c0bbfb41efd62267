"""What DashScope answers, as data, and a transport that plays it back. Ids, keys and signatures are fakes."""

import base64
import json
from collections.abc import Callable, Mapping

import httpx

from ttsorch._download import Downloader
from ttsorch._http import Reply
from ttsorch.errors import ProviderError
from ttsorch.models import AudioSource, JsonValue, SpeechRequest, Voice
from ttsorch.providers._audio_in_hand import AudioInHand, NoAudio
from ttsorch.providers.qwen import QwenProvider
from ttsorch.testing.speech import tone_wav

API_KEY = "sk-fake0canary0key0000"
REQUEST_ID = "5c63c65c-cad8-4bf4-959d-a4f1c1a1e1a1"
AUDIO = tone_wav()

HTTP_LINK = (
    "http://dashscope-result-sgp.oss-ap-southeast-1.aliyuncs.com/1d/prod/audio.wav"
    "?Expires=1766113409&OSSAccessKeyId=fakeid&Signature=fake%2Bsignature%3D"
)
LINK = HTTP_LINK.replace("http://", "https://", 1)

SPEECH: dict[str, JsonValue] = {
    "status_code": 200,
    "request_id": REQUEST_ID,
    "code": "",
    "message": "",
    "output": {
        "text": None,
        "finish_reason": "stop",
        "choices": None,
        "audio": {"data": "", "url": HTTP_LINK, "id": "audio_fake", "expires_at": 1766113409},
    },
    "usage": {"characters": 195},
}

SPEECH_INLINE: dict[str, JsonValue] = {
    "request_id": REQUEST_ID,
    "output": {"audio": {"data": base64.b64encode(AUDIO).decode(), "url": ""}},
    "usage": {
        "input_tokens": 14,
        "output_tokens": 101,
        "input_tokens_details": {"text_tokens": 14},
    },
}

CLONED: dict[str, JsonValue] = {
    "output": {
        "voice": "qwen-tts-vc-alice-voice-20260301-fake",
        "target_model": "qwen3-tts-vc-2026-01-22",
    },
    "usage": {"count": 1},
    "request_id": REQUEST_ID,
}

DESIGNED: dict[str, JsonValue] = {
    "output": {
        "voice": "qwen-tts-vd-bob-voice-20260301-fake",
        "target_model": "qwen3-tts-vd-2026-01-26",
        "preview_audio": {
            "data": base64.b64encode(AUDIO).decode(),
            "sample_rate": 24000,
            "response_format": "wav",
        },
    },
    "usage": {"count": 1},
    "request_id": REQUEST_ID,
}

CLONED_LIST: dict[str, JsonValue] = {
    "output": {
        "voice_list": [
            {
                "voice": "qwen-tts-vc-alice-voice-20260301-fake",
                "gmt_create": "2026-03-01 10:00:00",
                "target_model": "qwen3-tts-vc-2026-01-22",
            }
        ]
    },
    "usage": {"count": 0},
    "request_id": REQUEST_ID,
}

DESIGNED_LIST: dict[str, JsonValue] = {
    "output": {
        "page_index": 1,
        "page_size": 2,
        "total_count": 26,
        "voice_list": [
            {
                "voice": "qwen-tts-vd-bob-voice-20260301-fake",
                "gmt_create": "2026-03-01 10:00:00",
                "language": "en",
                "preview_text": "Hello",
                "target_model": "qwen3-tts-vd-2026-01-26",
                "voice_prompt": "calm",
            },
            {"gmt_create": "2026-03-01 10:00:00"},
            "not an object",
        ],
    },
    "usage": {},
    "request_id": REQUEST_ID,
}

DEPLOYED_LIST: dict[str, JsonValue] = {
    "output": {
        "voice_list": [
            {"voice_id": "cosyvoice-v3-plus-a-fake", "gmt_create": "x", "status": "OK"},
            {"voice_id": "cosyvoice-v3-plus-b-fake", "gmt_create": "x", "status": "DEPLOYING"},
        ]
    },
    "usage": {"count": 1},
    "request_id": REQUEST_ID,
}

DEPLOYED_ONE: dict[str, JsonValue] = {
    "output": {"gmt_create": "x", "target_model": "cosyvoice-v3-plus", "status": "UNDEPLOYED"},
    "request_id": REQUEST_ID,
}

DELETED: dict[str, JsonValue] = {"usage": {"count": 0}, "request_id": REQUEST_ID}


def error_body(code: str, message: str = "the vendor's words") -> dict[str, JsonValue]:
    return {"request_id": REQUEST_ID, "code": code, "message": message}


def reply_of(
    payload: "JsonValue | bytes", status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """A whole answer, as the HTTP client hands it over."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload, default=dict).encode()
    return Reply(status, headers or {}, body, f"https://vendor.test/?key={API_KEY}")


class Vendor(httpx.AsyncBaseTransport):
    """Plays one recorded answer for every POST and the audio for every GET; keeps what it was asked."""

    def __init__(self, payload: "JsonValue | bytes" = None, status: int = 200) -> None:
        self.payload = SPEECH if payload is None else payload
        self.status = status
        self.requests: list[httpx.Request] = []
        self.download_status = 200
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if request.method == "GET":
            return httpx.Response(
                self.download_status, headers={"content-type": "audio/wav"}, content=AUDIO
            )
        recorded = reply_of(self.answer(json.loads(request.content)))
        return httpx.Response(self.status, content=recorded.body)

    async def aclose(self) -> None:
        self.closed = True

    def answer(self, asked: Mapping[str, JsonValue]) -> "JsonValue | bytes":
        """What a POST of ``asked`` gets."""
        return self.payload

    @property
    def asked(self) -> dict[str, JsonValue]:
        """The body of the only request."""
        (request,) = self.requests
        body: dict[str, JsonValue] = json.loads(request.content)
        return body


class RecordedResults(Downloader):
    """Serves the same audio under one link, and nothing else."""

    def __init__(self, link: str = LINK) -> None:
        self.link = link
        self.opened: list[tuple[str, Mapping[str, str] | None]] = []
        self.closed = 0

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        failure: Callable[[Reply], ProviderError] | None = None,
    ) -> AudioSource:
        self.opened.append((url, headers))
        return AudioInHand(AUDIO, "audio/wav") if url == self.link else NoAudio()

    async def aclose(self) -> None:
        self.closed += 1


def qwen(
    vendor: Vendor,
    *,
    vc_model: str = "qwen3-tts-vc-2026-01-22",
    vd_model: str = "qwen3-tts-vd-2026-01-26",
    system_model: str = "qwen3-tts-flash",
    workspace: str | None = None,
) -> QwenProvider:
    """A provider that talks to ``vendor``."""
    return QwenProvider(
        api_key=API_KEY,
        vc_model=vc_model,
        vd_model=vd_model,
        system_model=system_model,
        workspace=workspace,
        transport=vendor,
        downloader=RecordedResults(),
    )


def qwen_voice(
    name: str | None = "Cherry",
    model: str | None = "qwen3-tts-flash",
    kind: str | None = "system",
) -> Voice:
    return Voice(
        id="voice",
        name="A voice",
        tts_provider="qwen",
        provider_voice_id=name,
        provider_target_model=model,
        provider_voice_kind=kind,
    )


def hello(voice: Voice | None = None, **options: JsonValue) -> SpeechRequest:
    return SpeechRequest("Hello, world.", voice or qwen_voice(), "English", options)
