"""Modal passes the suite that every provider has to pass, over a deployment in memory."""

import pytest

from tests.providers.modal_recordings import FakeDeployment, modal_request, provider_over
from ttsorch.models import SpeechRequest, Ticket
from ttsorch.protocols import Provider
from ttsorch.testing.provider import ProviderSuite, Settle


class TestModalProvider(ProviderSuite):
    @pytest.fixture
    def deployment(self) -> FakeDeployment:
        return FakeDeployment()

    @pytest.fixture
    def provider(self, deployment: FakeDeployment) -> Provider:
        return provider_over(deployment)

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return modal_request()

    @pytest.fixture
    def settle(self, deployment: FakeDeployment) -> Settle:
        async def complete(ticket: Ticket) -> None:
            if "job_id" in ticket:
                deployment.jobs[str(ticket["job_id"])] = "completed"
            else:
                deployment.designed.add(str(ticket["design_url"]))

        return complete


class TestModalProviderWithoutCancel(TestModalProvider):
    """As it is deployed where the free tier's endpoints are all taken; and its designs are fast."""

    @pytest.fixture
    def deployment(self) -> FakeDeployment:
        return FakeDeployment(designs_fast=True)

    @pytest.fixture
    def provider(self, deployment: FakeDeployment) -> Provider:
        return provider_over(deployment, can_cancel=False)
