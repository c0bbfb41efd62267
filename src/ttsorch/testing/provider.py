"""What every provider has to pass: the sentences of :class:`~ttsorch.protocols.Provider`, as tests.

Derive a class from :class:`ProviderSuite` in your own test file and give it its fixtures::

    class TestMine(ProviderSuite):
        @pytest.fixture
        def provider(self) -> Provider: ...

        @pytest.fixture
        def speech_request(self) -> SpeechRequest: ...

        @pytest.fixture
        def settle(self) -> Settle: ...  # only if it is a job provider, or designs by ticket

        @pytest.fixture
        def draft_voice(self) -> Voice: ...  # only if the default can't be made

        @pytest.fixture
        def voice_clip(self) -> Clip: ...  # only if the default is not good enough to clone

What a provider doesn't have (tickets, a catalog, an envelope, voices) is not asked of it. Needs the extra
``testing``; the tests are marked for anyio's pytest plugin.
"""

import re
import sys
import uuid

import anyio
import pytest

from ttsorch.models import (
    Accepted,
    CancelOutcome,
    Clip,
    Failed,
    Ready,
    Running,
    SpeechRequest,
    Ticket,
    Voice,
    VoiceSource,
)
from ttsorch.protocols import Provider, RequestChecking
from ttsorch.testing.held import assert_released, held
from ttsorch.testing.provider_voices import VoiceCases
from ttsorch.testing.provider_walk import (
    Settle,
    assert_audio,
    attempt,
    drop,
    finish,
    read,
    through_json,
)
from ttsorch.testing.speech import tone_wav

__all__ = ["ProviderSuite", "Settle"]


class ProviderSuite(VoiceCases):
    """The conformance suite. Each test makes at most three submits of ``speech_request``."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def provider(self) -> Provider:
        """The provider under test, fresh for every test."""
        raise NotImplementedError("the suite needs your own fixture `provider`")

    @pytest.fixture
    def speech_request(self) -> SpeechRequest:
        """A request that the provider can serve."""
        raise NotImplementedError("the suite needs your own fixture `speech_request`")

    @pytest.fixture
    def settle(self) -> Settle:
        """For job providers: makes the job of a ticket finish."""

        async def nothing_to_settle(ticket: Ticket) -> None:
            raise NotImplementedError("a job provider needs your own fixture `settle`")

        return nothing_to_settle

    @pytest.fixture
    def draft_voice(self, provider: Provider) -> Voice:
        """For providers that make voices: what a voice is before it is made."""
        return Voice(
            id=str(uuid.uuid4()),
            name="Anna",
            tts_provider=provider.name,
            owner="owner-1",
            source=VoiceSource.DESIGNED,
            description="A warm, calm voice of about forty years.",
            reference_transcript="The quick brown fox jumps over the lazy dog.",
        )

    @pytest.fixture
    def voice_clip(self) -> Clip:
        """For providers that clone: ten seconds of sound."""
        return Clip(tone_wav(10.0, rate=24_000), "audio/wav")

    async def test_the_name_is_stable_and_fit_for_rows(self, provider: Provider) -> None:
        """A name is lower-case letters, digits and underscores, and the same whenever it is read."""
        first, second = provider.name, provider.name

        assert re.fullmatch(r"[a-z0-9_]+", first)
        assert first == second

    async def test_capabilities_are_stable(self, provider: Provider) -> None:
        """Capabilities are the same whenever they are read."""
        first, second = provider.capabilities, provider.capabilities

        assert first == second

    async def test_capabilities_are_possible(self, provider: Provider) -> None:
        """Limits are positive, names are there and given once."""
        capabilities = provider.capabilities

        assert capabilities.max_text_chars > 0
        assert capabilities.formats
        assert all(rate > 0 for rate in capabilities.sample_rates)
        assert capabilities.result_lifetime is None or capabilities.result_lifetime > 0
        for names in (capabilities.languages, capabilities.formats):
            assert all(name == name.strip() != "" for name in names)
            assert len({name.casefold() for name in names}) == len(names)

    async def test_a_valid_request_is_not_refused(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """Checking a request that can be served raises nothing and answers the same twice."""
        if isinstance(provider, RequestChecking):
            provider.check_request(speech_request)
            provider.check_request(speech_request)

    async def test_submit_answers_as_the_capabilities_say(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A direct provider answers with the speech, a job provider with a ticket or the speech."""
        result = await provider.submit(speech_request, attempt())

        expected = Ready if provider.capabilities.direct else Accepted | Ready
        assert isinstance(result, expected)
        await drop(result)

    async def test_what_a_row_keeps_survives_json(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Tickets, envelopes and receipts are the same after a journey through the database."""
        submitted = await provider.submit(speech_request, attempt())
        if isinstance(submitted, Accepted):
            assert through_json(submitted.ticket) == submitted.ticket

        ready = await finish(provider, submitted, settle)

        for kept in (ready.envelope, ready.receipt):
            if kept is not None:
                assert through_json(kept) == kept
        await drop(ready)

    async def test_a_check_answers_in_our_words(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A job that was just accepted is running, ready or failed, with sane numbers."""
        submitted = await provider.submit(speech_request, attempt())
        if isinstance(submitted, Accepted):
            answer = await provider.check(through_json(submitted.ticket))
            assert isinstance(answer, Running | Ready | Failed)
            if isinstance(answer, Running):
                assert answer.word
                assert answer.progress is None or 0 <= answer.progress <= 1
                assert answer.elapsed is None or answer.elapsed >= 0
                assert answer.check_after is None or answer.check_after >= 0
        else:
            await drop(submitted)

    async def test_the_speech_arrives(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """The request becomes audio, as long as its length says, whose end is aware of time zones."""
        ready = await finish(provider, await provider.submit(speech_request, attempt()), settle)

        assert ready.expires_at is None or ready.expires_at.tzinfo is not None
        if ready.envelope is not None:
            assert_audio(await read(provider.fetch(through_json(ready.envelope))))
        if ready.audio is not None:
            assert_audio(await read(ready.audio))

    async def test_a_finished_job_has_an_envelope(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """What a check calls ready can be fetched by its envelope; without one a crash would lose it."""
        submitted = await provider.submit(speech_request, attempt())
        ready = await finish(provider, submitted, settle)

        if isinstance(submitted, Accepted):
            assert ready.envelope is not None
        else:
            assert ready.envelope is not None or ready.audio is not None
        await drop(ready)

    async def test_an_envelope_can_be_fetched_again(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Fetching twice gives the same bytes: a lease may be lost after the first time."""
        ready = await finish(provider, await provider.submit(speech_request, attempt()), settle)
        if ready.envelope is not None:
            first = await read(provider.fetch(ready.envelope))
            assert await read(provider.fetch(ready.envelope)) == first
        await drop(ready)

    async def test_cancel_is_harmless_when_repeated(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """Every ticket can be cancelled, twice, and the answer is one of the outcomes."""
        submitted = await provider.submit(speech_request, attempt())
        if isinstance(submitted, Accepted):
            for _ in range(2):
                outcome = await provider.cancel(through_json(submitted.ticket))
                assert isinstance(outcome, CancelOutcome)
                assert provider.capabilities.can_cancel or outcome is CancelOutcome.UNSUPPORTED
        else:
            await drop(submitted)

    async def test_a_cancel_may_come_too_late(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Cancelling a job that has finished is answered, not raised."""
        submitted = await provider.submit(speech_request, attempt())
        ready = await finish(provider, submitted, settle)
        if isinstance(submitted, Accepted):
            assert isinstance(await provider.cancel(submitted.ticket), CancelOutcome)
        await drop(ready)

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no list of open files")
    async def test_a_submit_cancelled_at_once_leaves_nothing(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A submit that is cancelled at its first await leaves no child, file or socket behind."""
        before = held()

        with anyio.CancelScope() as scope:
            scope.cancel()
            await drop(await provider.submit(speech_request, attempt()))

        await assert_released(before)

    async def test_closing_is_harmless_when_repeated(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A provider that has been used can be closed twice."""
        await drop(await provider.submit(speech_request, attempt()))

        await provider.aclose()
        await provider.aclose()
