"""The fakes that make voices are providers like any other, and the suite catches bad makers of voices."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ttsorch.models import (
    Accepted,
    Attempt,
    Clip,
    ProviderVoice,
    Ready,
    SpeechRequest,
    SubmitResult,
    Ticket,
    Voice,
    VoiceSource,
)
from ttsorch.protocols import Provider, VoiceCloning, VoiceDesign
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, MadeVoice
from ttsorch.testing.faults import FaultPlan, faulty
from ttsorch.testing.provider import ProviderSuite, Settle
from ttsorch.testing.speech import a_request, tone_wav

pytestmark = pytest.mark.anyio

CLIP = Clip(tone_wav(), "audio/wav")
DRAFT = Voice("v", "Vera", "fake", "owner-1", VoiceSource.UPLOADED)
ATTEMPT = Attempt("task-1")


class TestFakeCastingProvider(ProviderSuite):
    @pytest.fixture(params=[False, True], ids=["in hand", "fetchable"])
    def provider(self, request: pytest.FixtureRequest) -> Provider:
        return FakeCastingProvider(fetchable=request.param)

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return a_request()


class TestFakeDesigningJobProvider(ProviderSuite):
    @pytest.fixture
    def provider(self) -> Provider:
        return FakeDesigningJobProvider(checks_until_ready=3)

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return a_request()

    @pytest.fixture
    def settle(self, provider: FakeDesigningJobProvider) -> Settle:
        async def settle(ticket: Ticket) -> None:
            provider.jobs[str(ticket["id"])].checks_left = 1

        return settle


async def test_the_bill_tells_what_each_call_was_for() -> None:
    """A clone and a design are on it by kind and key; speech makes no voice."""
    provider = FakeCastingProvider()
    await provider.submit(a_request(), Attempt("task-0"))
    await provider.clone(DRAFT, CLIP, ATTEMPT)
    await provider.design(DRAFT, Attempt("task-2"))

    assert provider.ledger.accepted == ["task-0", "task-1", "task-2"]
    assert provider.ledger.clips == [None, CLIP]
    assert provider.ledger.voices == [
        MadeVoice("clone", "task-1", "clone-1"),
        MadeVoice("design", "task-2", "design-2"),
    ]


async def test_a_faulty_provider_has_the_powers_of_the_one_behind_it() -> None:
    """And no more: what a provider can't do isn't asked of it through a plan either."""
    plan = FaultPlan()
    for provider in (FakeCastingProvider(), FakeDesigningJobProvider(), FakeJobProvider()):
        broken = faulty(provider, plan)
        for power in (VoiceCloning, VoiceDesign):
            assert isinstance(broken, power) == isinstance(provider, power)


# --- bad ones -----------------------------------------------------------------------------------------


class ClonesSpeech(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return replace(await super().clone(draft, clip, attempt), envelope={"url": "u"})


class ClonesSound(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return replace(await super().clone(draft, clip, attempt), audio=self._open())


class ClonesNothing(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return Ready()


class ClonesWithoutAnId(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return Ready(voice=ProviderVoice(" "))


class ReceiptOfATuple(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return replace(await super().clone(draft, clip, attempt), receipt={"usage": (1, 2)})

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        return replace(await super().submit(request, attempt), receipt={"usage": (1, 2)})


class DesignsNoPreview(FakeCastingProvider):
    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        return replace(await super().design(draft, attempt), audio=None)


class DesignTicketOfATuple(FakeDesigningJobProvider):
    async def design(self, draft: Voice, attempt: Attempt) -> Accepted:
        return Accepted({**(await super().design(draft, attempt)).ticket, "urls": ("a", "b")})


class DesignsSomethingElse(FakeCastingProvider):
    async def design(self, draft: Voice, attempt: Attempt) -> SubmitResult:  # type: ignore[override]
        return {"voice": "v"}  # type: ignore[return-value]  # what a bad provider does


def boasts_of_cloning() -> Provider:
    provider = FakeDirectProvider()
    provider.capabilities = replace(provider.capabilities, cloning=True)
    return provider


def boasts_of_design() -> Provider:
    provider = FakeJobProvider()
    provider.capabilities = replace(provider.capabilities, design=True)
    return provider


def designs_html() -> Provider:
    return FakeCastingProvider(audio=b"<html>")


async def verdict(provider: Provider, test: str) -> None:
    """Run one test of the suite, with the fixtures that it names."""

    async def settle(ticket: Ticket) -> None: ...

    function = getattr(ProviderSuite, test)
    draft = ProviderSuite.draft_voice.__wrapped__(ProviderSuite(), provider)  # type: ignore[attr-defined]
    fixtures = {
        "provider": provider,
        "speech_request": a_request(),
        "settle": settle,
        "draft_voice": draft,
        "voice_clip": CLIP,
    }
    wanted = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    await function(ProviderSuite(), **{name: fixtures[name] for name in wanted})


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (boasts_of_cloning, "test_promised_powers_are_there"),
        (boasts_of_design, "test_promised_powers_are_there"),
        (ClonesSpeech, "test_a_clone_is_a_voice_and_nothing_else"),
        (ClonesSound, "test_a_clone_is_a_voice_and_nothing_else"),
        (ClonesNothing, "test_a_clone_is_a_voice_and_nothing_else"),
        (ClonesWithoutAnId, "test_a_clone_is_a_voice_and_nothing_else"),
        (ReceiptOfATuple, "test_a_clone_is_a_voice_and_nothing_else"),
        (ReceiptOfATuple, "test_what_a_row_keeps_survives_json"),
        (DesignTicketOfATuple, "test_a_design_answers_like_a_submit"),
        (DesignsSomethingElse, "test_a_design_answers_like_a_submit"),
        (DesignsNoPreview, "test_the_preview_of_a_design_arrives"),
        (designs_html, "test_the_preview_of_a_design_arrives"),
    ],
)
async def test_a_bad_maker_of_voices_is_caught(bad: Callable[[], Provider], test: str) -> None:
    """Each broken promise fails the test that is named for it."""
    with pytest.raises(AssertionError):
        await verdict(bad(), test)


@pytest.mark.parametrize(
    "test",
    [
        "test_promised_powers_are_there",
        "test_a_clone_is_a_voice_and_nothing_else",
        "test_a_design_answers_like_a_submit",
        "test_the_preview_of_a_design_arrives",
    ],
)
async def test_what_a_provider_does_not_promise_is_not_asked_of_it(test: str) -> None:
    """A power that is switched off, or not there, is not called."""
    unwilling = FakeCastingProvider()
    unwilling.capabilities = replace(unwilling.capabilities, cloning=False, design=False)
    for provider in (unwilling, FakeJobProvider()):
        await verdict(provider, test)
        assert provider.ledger.submits == 0
