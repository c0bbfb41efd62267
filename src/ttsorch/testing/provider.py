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

import json
import os
import re
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from ttsorch.models import (
    Accepted,
    Attempt,
    AudioSource,
    CancelOutcome,
    Clip,
    Failed,
    JsonValue,
    Ready,
    Running,
    SpeechRequest,
    Ticket,
    Voice,
    VoiceSource,
)
from ttsorch.protocols import Provider, RequestChecking, VoiceCatalog, VoiceCloning, VoiceDesign
from ttsorch.testing.speech import tone_wav

#: Makes the vendor finish the job of a ticket: a back door that bypasses the provider under test.
Settle: TypeAlias = Callable[[Ticket], Awaitable[None]]

# How often a settled job may still be reported as running.
_CHECKS = 20

_RELEASE_ROUNDS, _RELEASE_SECONDS = 500, 0.01

_AUDIO_BEGINNINGS = (
    re.compile(rb"RIFF....WAVE", re.DOTALL),
    re.compile(rb"ID3|\xff[\xe2-\xff]"),
    re.compile(rb"OggS"),
    re.compile(rb"fLaC"),
    re.compile(rb"....ftyp", re.DOTALL),
)


class ProviderSuite:
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
        result = await provider.submit(speech_request, _attempt())

        expected = Ready if provider.capabilities.direct else Accepted | Ready
        assert isinstance(result, expected)
        await _drop(result)

    async def test_what_a_row_keeps_survives_json(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Tickets, envelopes and receipts are the same after a journey through the database."""
        submitted = await provider.submit(speech_request, _attempt())
        if isinstance(submitted, Accepted):
            assert _through_json(submitted.ticket) == submitted.ticket

        ready = await _finish(provider, submitted, settle)

        for kept in (ready.envelope, ready.receipt):
            if kept is not None:
                assert _through_json(kept) == kept
        await _drop(ready)

    async def test_a_check_answers_in_our_words(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A job that was just accepted is running, ready or failed, with sane numbers."""
        submitted = await provider.submit(speech_request, _attempt())
        if isinstance(submitted, Accepted):
            answer = await provider.check(_through_json(submitted.ticket))
            assert isinstance(answer, Running | Ready | Failed)
            if isinstance(answer, Running):
                assert answer.word
                assert answer.progress is None or 0 <= answer.progress <= 1
                assert answer.elapsed is None or answer.elapsed >= 0
                assert answer.check_after is None or answer.check_after >= 0
        else:
            await _drop(submitted)

    async def test_the_speech_arrives(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """The request becomes audio, as long as its length says, whose end is aware of time zones."""
        ready = await _finish(provider, await provider.submit(speech_request, _attempt()), settle)

        assert ready.expires_at is None or ready.expires_at.tzinfo is not None
        if ready.envelope is not None:
            _assert_audio(await _read(provider.fetch(_through_json(ready.envelope))))
        if ready.audio is not None:
            _assert_audio(await _read(ready.audio))

    async def test_a_finished_job_has_an_envelope(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """What a check calls ready can be fetched by its envelope; without one a crash would lose it."""
        submitted = await provider.submit(speech_request, _attempt())
        ready = await _finish(provider, submitted, settle)

        if isinstance(submitted, Accepted):
            assert ready.envelope is not None
        else:
            assert ready.envelope is not None or ready.audio is not None
        await _drop(ready)

    async def test_an_envelope_can_be_fetched_again(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Fetching twice gives the same bytes: a lease may be lost after the first time."""
        ready = await _finish(provider, await provider.submit(speech_request, _attempt()), settle)
        if ready.envelope is not None:
            first = await _read(provider.fetch(ready.envelope))
            assert await _read(provider.fetch(ready.envelope)) == first
        await _drop(ready)

    async def test_cancel_is_harmless_when_repeated(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """Every ticket can be cancelled, twice, and the answer is one of the outcomes."""
        submitted = await provider.submit(speech_request, _attempt())
        if isinstance(submitted, Accepted):
            for _ in range(2):
                outcome = await provider.cancel(_through_json(submitted.ticket))
                assert isinstance(outcome, CancelOutcome)
                assert provider.capabilities.can_cancel or outcome is CancelOutcome.UNSUPPORTED
        else:
            await _drop(submitted)

    async def test_a_cancel_may_come_too_late(
        self, provider: Provider, speech_request: SpeechRequest, settle: Settle
    ) -> None:
        """Cancelling a job that has finished is answered, not raised."""
        submitted = await provider.submit(speech_request, _attempt())
        ready = await _finish(provider, submitted, settle)
        if isinstance(submitted, Accepted):
            assert isinstance(await provider.cancel(submitted.ticket), CancelOutcome)
        await _drop(ready)

    async def test_built_in_voices_are_stable(self, provider: Provider) -> None:
        """Two listings are equal: the same voices, in the same order, under the same ids."""
        assert await _catalog(provider) == await _catalog(provider)

    async def test_built_in_voices_belong_to_the_provider(self, provider: Provider) -> None:
        """Built-in voices have unique uuid5 ids, a name, no owner, and this provider's name."""
        voices = await _catalog(provider)

        assert len({voice.id for voice in voices}) == len(voices)
        for voice in voices:
            assert str(uuid.UUID(voice.id)) == voice.id
            assert uuid.UUID(voice.id).version == 5
            assert voice.owner is None
            assert voice.source is VoiceSource.BUILTIN
            assert voice.tts_provider == provider.name
            assert voice.name.strip()

    async def test_promised_powers_are_there(self, provider: Provider) -> None:
        """Who promises to clone can, or sends the recording along; who promises to design can."""
        capabilities = provider.capabilities

        if capabilities.cloning:
            assert capabilities.sends_clip or isinstance(provider, VoiceCloning)
        if capabilities.design:
            assert isinstance(provider, VoiceDesign)

    async def test_a_clone_is_a_voice_and_nothing_else(
        self, provider: Provider, draft_voice: Voice, voice_clip: Clip
    ) -> None:
        """A recording becomes a voice with an id, without any speech."""
        if not (isinstance(provider, VoiceCloning) and provider.capabilities.cloning):
            return
        ready = await provider.clone(draft_voice, voice_clip, _attempt())

        assert isinstance(ready, Ready)
        assert ready.voice is not None
        _assert_made(ready)
        assert ready.envelope is None
        assert ready.audio is None

    async def test_a_design_answers_like_a_submit(
        self, provider: Provider, draft_voice: Voice
    ) -> None:
        """With a ticket that survives the database, or with the preview, however direct it is."""
        if not (isinstance(provider, VoiceDesign) and provider.capabilities.design):
            return
        result = await provider.design(draft_voice, _attempt())

        assert isinstance(result, Accepted | Ready)
        if isinstance(result, Accepted):
            assert _through_json(result.ticket) == result.ticket
        await _drop(result)

    async def test_the_preview_of_a_design_arrives(
        self, provider: Provider, draft_voice: Voice, settle: Settle
    ) -> None:
        """A description becomes a preview, and a voice with an id where the provider keeps one."""
        if not (isinstance(provider, VoiceDesign) and provider.capabilities.design):
            return
        ready = await _finish(provider, await provider.design(draft_voice, _attempt()), settle)

        _assert_made(ready)
        assert ready.envelope is not None or ready.audio is not None
        if ready.envelope is not None:
            assert _through_json(ready.envelope) == ready.envelope
            _assert_audio(await _read(provider.fetch(_through_json(ready.envelope))))
        if ready.audio is not None:
            _assert_audio(await _read(ready.audio))

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no list of open files")
    async def test_a_submit_cancelled_at_once_leaves_nothing(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A submit that is cancelled at its first await leaves no child, file or socket behind."""
        before = _held()

        with anyio.CancelScope() as scope:
            scope.cancel()
            await _drop(await provider.submit(speech_request, _attempt()))

        await _released(before)

    async def test_closing_is_harmless_when_repeated(
        self, provider: Provider, speech_request: SpeechRequest
    ) -> None:
        """A provider that has been used can be closed twice."""
        await _drop(await provider.submit(speech_request, _attempt()))

        await provider.aclose()
        await provider.aclose()


def _attempt() -> Attempt:
    return Attempt(key=str(uuid.uuid4()))


def _through_json(payload: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    stored: Mapping[str, JsonValue] = json.loads(json.dumps(payload, allow_nan=False))
    return stored


async def _finish(provider: Provider, submitted: Accepted | Ready, settle: Settle) -> Ready:
    """The finished result; a job is settled first and then checked until it says so."""
    if isinstance(submitted, Ready):
        return submitted
    await settle(submitted.ticket)
    for _ in range(_CHECKS):
        answer = await provider.check(_through_json(submitted.ticket))
        if not isinstance(answer, Running):
            assert isinstance(answer, Ready), f"the settled job failed: {answer.error}"
            return answer
    pytest.fail(f"the settled job was still running after {_CHECKS} checks")


def _assert_made(ready: Ready) -> None:
    """The voice, if there is one, has an id; the receipt, if there is one, survives the database."""
    assert ready.voice is None or ready.voice.id.strip()
    assert ready.receipt is None or _through_json(ready.receipt) == ready.receipt


async def _drop(result: Accepted | Ready) -> None:
    """Open and close audio in hand: whoever gets it has to."""
    if isinstance(result, Ready) and result.audio is not None:
        async with result.audio:
            pass


async def _read(source: AudioSource) -> bytes:
    async with source as stream:
        received = b"".join([chunk async for chunk in stream.chunks])
        assert stream.length in (None, len(received))
    return received


def _assert_audio(received: bytes) -> None:
    assert any(beginning.match(received) for beginning in _AUDIO_BEGINNINGS), received[:16]


async def _catalog(provider: Provider) -> Sequence[Voice]:
    return await provider.voices() if isinstance(provider, VoiceCatalog) else ()


async def _released(before: set[str]) -> None:
    """Wait until nothing is held that wasn't before: the system may take a moment to let go."""
    for _ in range(_RELEASE_ROUNDS):
        if _held() <= before:
            return
        await anyio.sleep(_RELEASE_SECONDS)
    pytest.fail(f"left behind: {sorted(_held() - before)}")


def _held() -> set[str]:
    """This process's open files, and its children where the system lists them."""
    files = {f"file {name}" for name in os.listdir("/dev/fd") if _is_open(int(name))}
    children = Path("/proc/self/task").glob("*/children")
    return files | {f"child {pid}" for path in children for pid in path.read_text().split()}


def _is_open(descriptor: int) -> bool:
    # Listing the folder opens one descriptor more, which is gone when we look at it.
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
