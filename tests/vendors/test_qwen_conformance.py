"""Qwen, over sockets, passes the suite that every provider has to pass."""

from collections.abc import AsyncIterator

import pytest

from ttsorch.models import SpeechRequest
from ttsorch.providers._qwen.system_voices import system_voices
from ttsorch.providers.qwen import QwenProvider
from ttsorch.testing.fake_dashscope import FakeDashScope, fake_dashscope
from ttsorch.testing.provider import ProviderSuite


class TestQwenOverSockets(ProviderSuite):
    """An account in the default region, with results on the same machine."""

    @pytest.fixture
    async def dashscope(self) -> AsyncIterator[FakeDashScope]:
        async with fake_dashscope() as running:
            yield running

    @pytest.fixture
    async def provider(self, dashscope: FakeDashScope) -> AsyncIterator[QwenProvider]:
        provider = QwenProvider.from_env(dashscope.environ())
        yield provider
        await provider.aclose()

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return SpeechRequest("Hello, world.", system_voices("qwen3-tts-flash")[0], "English")


class TestQwenInTheDocumentedStyle(TestQwenOverSockets):
    """Successes carry an empty code and message, as in the vendor's samples."""

    @pytest.fixture
    async def dashscope(self) -> AsyncIterator[FakeDashScope]:
        async with fake_dashscope() as running:
            running.switches.doc_style = True
            yield running
