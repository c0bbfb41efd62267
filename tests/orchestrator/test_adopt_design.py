"""Saving a designed voice by its audio alone: one voice for one recording, however often it is asked for."""

import anyio
import pytest

from tests.orchestrator.voices import CLIP, WORDS
from tests.orchestrator.world import OWNER, World
from ttsorch.errors import ProviderRejected, TtsorchError, ValidationError
from ttsorch.models import Voice, VoiceSource
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider

pytestmark = pytest.mark.anyio

PROVIDERS = [FakeCastingProvider, FakeDesigningJobProvider]


async def adopted(tts: Orchestrator, audio: bytes = CLIP, *, owner: str = OWNER) -> Voice:
    return await tts.adopt_design(
        audio, name="Vera", text=WORDS, language="English", description="Calm.", owner=owner
    )


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_callers_at_once_get_one_voice(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """A double click pays once, and each click is answered with the same voice."""
    fake = provider()
    world = World(fake)
    voices: list[Voice] = []

    async def adopt() -> None:
        voices.append(await adopted(tts))

    async with world.running() as tts:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(adopt)
        assert len({voice.id for voice in voices}) == 1
        assert voices[0].source is VoiceSource.DESIGNED
        assert voices[0].description == "Calm."
        assert len(fake.ledger.voices) <= 1
        assert (await world.tasks.list_voices(OWNER)).total == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_deleted_voice_is_made_anew(
    provider: type[FakeCastingProvider | FakeDesigningJobProvider],
) -> None:
    """And after a second deletion once more; asking twice in between still gives one."""
    world = World(provider())
    async with world.running() as tts:
        seen = []
        for _ in range(3):
            voice = await adopted(tts)
            assert await adopted(tts) == voice
            seen.append(voice.id)
            await tts.delete_voice(voice.id, owner=OWNER)
        assert len(set(seen)) == 3


async def test_an_earlier_try_that_broke_is_gone_on_with() -> None:
    """Its upload is still there, of the same bytes."""
    provider = FakeCastingProvider()
    provider.script.clone.append(ProviderRejected())
    world = World(provider)
    async with world.running() as tts:
        with pytest.raises(ProviderRejected):
            await adopted(tts)
        assert (await adopted(tts)).provider_voice_id is not None
        assert len(provider.ledger.voices) == 1


async def test_what_is_no_audio_is_refused_each_time() -> None:
    """And nothing of it stays."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        for _ in range(2):
            with pytest.raises(ValidationError) as refused:
                await adopted(tts, b"<html>")
            assert refused.value.code == "clip_not_audio"
    assert await world.blob_keys() == []


async def test_an_upload_that_is_far_too_large_is_refused() -> None:
    """Before a voice is thought of."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        with pytest.raises(ValidationError) as refused:
            await adopted(tts, bytes(21 * 1024 * 1024))
        assert refused.value.code == "clip_too_large"
    assert await world.blob_keys() == []


async def test_a_provider_that_can_not_clone_refuses() -> None:
    """409; nothing is kept."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        with pytest.raises(TtsorchError) as refused:
            await adopted(tts)
        assert (refused.value.code, refused.value.http_status) == ("cloning_unsupported", 409)
    assert await world.blob_keys() == []
