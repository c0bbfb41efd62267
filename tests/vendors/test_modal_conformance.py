"""Modal, over sockets, passes the suite that every provider has to pass."""

from collections.abc import AsyncIterator

import pytest

from tests.vendors.on_sockets import a_modal_voice, a_short_clip
from ttsorch.models import Clip, SpeechRequest, Ticket
from ttsorch.providers.modal import ModalProvider
from ttsorch.testing.fake_modal import FakeModal, ModalSwitches, fake_modal
from ttsorch.testing.provider import ProviderSuite, Settle


class TestModalOverSockets(ProviderSuite):
    """A deployment as the worker's repository has it."""

    switches = ModalSwitches()

    @pytest.fixture
    async def modal(self) -> AsyncIterator[FakeModal]:
        async with fake_modal(checks_until_done=None, switches=self.switches) as running:
            yield running

    @pytest.fixture
    async def provider(self, modal: FakeModal) -> AsyncIterator[ModalProvider]:
        provider = ModalProvider.from_env(modal.environ())
        yield provider
        await provider.aclose()

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return SpeechRequest(
            "Hello, world.",
            a_modal_voice("ann", "ann/voice/clip.wav"),
            "English",
            clip=Clip(a_short_clip(), "audio/wav"),
        )

    @pytest.fixture
    def settle(self, modal: FakeModal) -> Settle:
        async def finish(ticket: Ticket) -> None:
            modal.finish(str(ticket["job_id"]))

        return finish


class TestModalBehindAToken(TestModalOverSockets):
    """With proxy authentication, and without an endpoint to cancel at."""

    switches = ModalSwitches(proxy_auth=("wk-fake", "ws-fake"), cancel_missing=True)


class TestModalThatStartsSlowly(TestModalOverSockets):
    """Every submit is answered with a 303, and then with another one."""

    switches = ModalSwitches(submit_redirects=2)


class TestModalOfOldSpellings(TestModalOverSockets):
    """As the worker's mock answers."""

    switches = ModalSwitches(old_spellings=True)
