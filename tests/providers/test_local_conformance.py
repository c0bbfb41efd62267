"""The embedded engine passes the suite that every provider has to pass."""

import pytest

from tests.providers.recordings import engine_voice
from ttsorch.models import SpeechRequest
from ttsorch.protocols import Provider
from ttsorch.providers.local import LocalProvider
from ttsorch.testing.provider import ProviderSuite


class TestLocalProvider(ProviderSuite):
    @pytest.fixture
    def provider(self) -> Provider:
        return LocalProvider()

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return SpeechRequest("Hello, world.", engine_voice())
