"""Calls to the fake DashScope, the way any client of the vendor makes them."""

import base64
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.speakers import Speaker, tone_speaker
from ttsorch.testing.speech import tone_wav

KEY = "sk-fake-of-the-tests"
QWEN = "/api/v1/services/aigc/multimodal-generation/generation"
SPEECH = "/api/v1/services/audio/tts/SpeechSynthesizer"
VOICES = "/api/v1/services/audio/tts/customization"

VC = "qwen3-tts-vc-2026-01-22"
VD = "qwen3-tts-vd-2026-01-26"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Caller:
    """One fake and an HTTP client for it."""

    fake: FakeDashScope
    http: httpx.AsyncClient

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        """One call with the key, unless ``headers`` say otherwise (underscores stand for hyphens)."""
        given = {"Authorization": f"Bearer {KEY}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(f"{self.fake.url}{path}", json=body, headers=given)

    async def say(
        self, text: str = "Hello.", *, model: str = "qwen3-tts-flash", **given: object
    ) -> httpx.Response:
        """One synthesis with a model of the Qwen3-TTS family."""
        return await self.post(
            QWEN, {"model": model, "input": {"text": text, "voice": "Cherry", **given}}
        )

    async def said(self, text: str = "Hello.") -> str:
        """The URL of one synthesis."""
        response = await self.say(text)
        url: str = response.json()["output"]["audio"]["url"]
        return url

    async def clone(self, **given: object) -> httpx.Response:
        """A clone that the vendor takes, but for what ``given`` changes."""
        asked = {
            "action": "create",
            "target_model": VC,
            "preferred_name": "alice",
            "audio": {"data": data_url(clip())},
        }
        return await self.voice("qwen-voice-enrollment", **{**asked, **given})

    async def design(self, **given: object) -> httpx.Response:
        """A design that the vendor takes, but for what ``given`` changes."""
        asked = {
            "action": "create",
            "target_model": VD,
            "preferred_name": "bob",
            "voice_prompt": "A calm narrator.",
            "preview_text": "Good evening.",
        }
        return await self.voice("qwen-voice-design", **{**asked, **given})

    async def voice(self, model: str, **given: object) -> httpx.Response:
        """One action on voices."""
        return await self.post(VOICES, {"model": model, "input": given})

    async def cosy(self, action: str, **given: object) -> httpx.Response:
        """One action on CosyVoice voices."""
        return await self.voice("voice-enrollment", action=action, **given)


@asynccontextmanager
async def calling(
    *,
    speak: Speaker = tone_speaker,
    clock: Callable[[], datetime] | None = None,
    max_chars: int = 600,
    max_voices: int = 1000,
) -> AsyncIterator[Caller]:
    """A fresh fake at ``START``, and a client that is told nothing by the environment."""
    when = clock or ManualClock(START)
    async with (
        fake_dashscope(
            api_key=KEY, speak=speak, clock=when, max_chars=max_chars, max_voices=max_voices
        ) as fake,
        httpx.AsyncClient(trust_env=False, timeout=10) as http,
    ):
        yield Caller(fake, http)


def clip(seconds: float = 3, *, rate: int = 24_000) -> bytes:
    """A tone that is long enough to be cloned."""
    return tone_wav(seconds, rate=rate)


def reshaped(wav: bytes, *, channels: int = 1, bits: int = 16) -> bytes:
    """``wav`` with another claim about its samples."""
    return wav[:22] + struct.pack("<H", channels) + wav[24:34] + struct.pack("<H", bits) + wav[36:]


def data_url(content: bytes, media_type: str = "audio/wav") -> str:
    """``content`` the way a clip is sent."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an error that has the documented form."""
    payload: dict[str, Any] = response.json()
    assert set(payload) == {"request_id", "code", "message"}
    assert payload["message"]
    assert payload["request_id"] == response.headers["x-request-id"]
    return response.status_code, payload["code"]


INVALID = (400, "InvalidParameter")
