"""Qwen, over recorded answers, passes the suite that every provider has to pass."""

from collections.abc import Mapping

import pytest

from tests.providers.dashscope_recordings import (
    API_KEY,
    CLONED,
    DESIGNED,
    SPEECH_INLINE,
    Vendor,
    hello,
)
from ttsorch.models import JsonValue, SpeechRequest
from ttsorch.protocols import Provider
from ttsorch.providers.qwen import QwenProvider
from ttsorch.testing.provider import ProviderSuite


class Whole(Vendor):
    """Answers for speech and for the making of voices, by the model that is asked."""

    def answer(self, asked: Mapping[str, JsonValue]) -> "JsonValue | bytes":
        made = {"qwen-voice-enrollment": CLONED, "qwen-voice-design": DESIGNED}
        return made.get(str(asked["model"]), self.payload)


class TestQwenProvider(ProviderSuite):
    @pytest.fixture
    def provider(self) -> Provider:
        return QwenProvider(api_key=API_KEY, transport=Whole())

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return hello()


class TestQwenProviderWithAudioInHand(ProviderSuite):
    @pytest.fixture
    def provider(self) -> Provider:
        return QwenProvider(api_key=API_KEY, transport=Whole(SPEECH_INLINE))

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return hello()
