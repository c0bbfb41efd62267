"""The shipped suite passes good providers and catches bad ones."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ttsorch.errors import Category, ValidationError
from ttsorch.models import (
    Accepted,
    Attempt,
    AudioSource,
    CancelOutcome,
    CheckResult,
    Envelope,
    ErrorInfo,
    Failed,
    Ready,
    Running,
    SpeechRequest,
    Ticket,
    Voice,
)
from ttsorch.protocols import Provider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.provider import ProviderSuite, Settle
from ttsorch.testing.speech import a_request, a_voice

pytestmark = pytest.mark.anyio


class TestFakeJobProvider(ProviderSuite):
    @pytest.fixture
    def provider(self) -> Provider:
        return FakeJobProvider(checks_until_ready=3)

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return a_request()

    @pytest.fixture
    def settle(self, provider: FakeJobProvider) -> Settle:
        async def settle(ticket: Ticket) -> None:
            provider.jobs[str(ticket["id"])].checks_left = 1

        return settle


class TestFakeDirectProvider(ProviderSuite):
    @pytest.fixture(params=[False, True], ids=["in hand", "fetchable"])
    def provider(self, request: pytest.FixtureRequest) -> Provider:
        return FakeDirectProvider(fetchable=request.param)

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        return a_request()


class TicketOfATuple(FakeJobProvider):
    """A tuple comes back from JSON as a list."""

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Accepted:
        accepted = await super().submit(request, attempt)
        return Accepted({**accepted.ticket, "urls": ("a", "b")})


class NeverFinishes(FakeJobProvider):
    async def check(self, ticket: Ticket) -> CheckResult:
        return Running()


class AlwaysFails(FakeJobProvider):
    async def check(self, ticket: Ticket) -> CheckResult:
        return Failed(ErrorInfo(Category.PROVIDER_REJECTED, "no", "no"))


class ReadyWithoutEnvelope(FakeJobProvider):
    async def check(self, ticket: Ticket) -> CheckResult:
        return Ready()


class ImpossibleProgress(FakeJobProvider):
    async def check(self, ticket: Ticket) -> CheckResult:
        return Running(progress=40)


class FetchedOnce(FakeJobProvider):
    def fetch(self, envelope: Envelope) -> AudioSource:
        self.audio += b"\0"
        return super().fetch(envelope)


class CancelledOnce(FakeJobProvider):
    async def cancel(self, ticket: Ticket) -> CancelOutcome:
        self.jobs.pop(str(ticket["id"]))
        return CancelOutcome.CANCELLED


class Forgetful(FakeJobProvider):
    async def voices(self) -> Sequence[Voice]:
        voices = (a_voice(self.name), replace(a_voice(self.name), id="second"))
        self.name = "renamed"
        return voices


class LeavesAChild(FakeDirectProvider):
    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        self.child = subprocess.Popen(  # noqa: ASYNC220 - what a bad provider does
            [sys.executable, "-c", "import time; time.sleep(60)"]
        )
        await anyio.lowlevel.checkpoint()
        return await super().submit(request, attempt)


def default_of(fixture: str) -> Any:
    """What the suite's own fixture gives."""
    return getattr(ProviderSuite, fixture).__wrapped__(ProviderSuite())


async def verdict(provider: Provider, test: str) -> None:
    """Run one test of the suite, with the fixtures that it names."""

    async def settle(ticket: Ticket) -> None: ...

    function = getattr(ProviderSuite(), test)
    fixtures = {"provider": provider, "speech_request": a_request(), "settle": settle}
    wanted = function.__func__.__code__.co_varnames[1 : function.__func__.__code__.co_argcount]
    await function(**{name: fixtures[name] for name in wanted})


def not_audio() -> Provider:
    return FakeJobProvider(audio=b"<html>")


def empty() -> Provider:
    return FakeDirectProvider(audio=b"")


def ill_named() -> Provider:
    return FakeJobProvider("Fake-1")


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (ill_named, "test_the_name_is_stable_and_fit_for_rows"),
        (TicketOfATuple, "test_what_a_row_keeps_survives_json"),
        (NeverFinishes, "test_the_speech_arrives"),
        (AlwaysFails, "test_the_speech_arrives"),
        (not_audio, "test_the_speech_arrives"),
        (empty, "test_the_speech_arrives"),
        (ReadyWithoutEnvelope, "test_a_finished_job_has_an_envelope"),
        (ImpossibleProgress, "test_a_check_answers_in_our_words"),
        (FetchedOnce, "test_an_envelope_can_be_fetched_again"),
        (CancelledOnce, "test_cancel_is_harmless_when_repeated"),
        (Forgetful, "test_built_in_voices_are_stable"),
        (Forgetful, "test_built_in_voices_belong_to_the_provider"),
    ],
)
async def test_a_bad_provider_is_caught(bad: Callable[[], Provider], test: str) -> None:
    """Each broken promise fails the test that is named for it."""
    with pytest.raises((AssertionError, ValueError, LookupError, pytest.fail.Exception)):
        await verdict(bad(), test)


class Refuses(FakeJobProvider):
    def check_request(self, request: SpeechRequest) -> None:
        raise ValidationError("no")


async def test_a_provider_that_refuses_its_authors_request_is_caught() -> None:
    """The request that the author calls valid has to pass the provider's own check."""
    with pytest.raises(ValidationError):
        await verdict(Refuses(), "test_a_valid_request_is_not_refused")


async def test_a_job_provider_has_to_say_how_its_jobs_finish() -> None:
    """Without a `settle` of the author's own, the suite says that it is needed."""
    settle: Settle = default_of("settle")

    with pytest.raises(NotImplementedError, match="settle"):
        await settle({})


async def test_capabilities_that_cannot_be_are_caught() -> None:
    """Limits that aren't positive and names that repeat fail the suite."""
    good = FakeJobProvider().capabilities
    for bad in (
        replace(good, max_text_chars=0),
        replace(good, formats=()),
        replace(good, sample_rates=(0,)),
        replace(good, languages=("English", "english")),
        replace(good, languages=(" ",)),
        replace(good, result_lifetime=0),
    ):
        with pytest.raises(AssertionError):
            await verdict(FakeJobProvider(capabilities=bad), "test_capabilities_are_possible")


async def test_a_wrong_kind_of_answer_is_caught() -> None:
    """A provider that says it is direct and then gives a ticket fails the suite."""
    liar = FakeJobProvider()
    liar.capabilities = replace(liar.capabilities, direct=True)

    with pytest.raises(AssertionError):
        await verdict(liar, "test_submit_answers_as_the_capabilities_say")


async def test_a_child_that_is_left_behind_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that starts a process and is cancelled before it can end it fails the suite."""
    monkeypatch.setattr("ttsorch.testing.held._RELEASE_ROUNDS", 3)
    provider = LeavesAChild()

    with pytest.raises(pytest.fail.Exception, match="child"):
        await verdict(provider, "test_a_submit_cancelled_at_once_leaves_nothing")

    provider.child.kill()
    provider.child.wait()


@pytest.mark.parametrize("fixture", ["provider", "speech_request"])
async def test_a_forgotten_fixture_is_named(fixture: str) -> None:
    """The suite says which fixture its author has to give."""
    with pytest.raises(NotImplementedError, match=fixture):
        default_of(fixture)
