"""R12, R13: hearing a voice and letting it go. How voices are listed is in ``test_about.py``."""

from dataclasses import replace

import pytest

from tests.contract.world import MISSING_ID, VOICE, a_world
from ttsorch.models import Voice, VoiceSource
from ttsorch.testing.fake_voices import FakeDesigningJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio


async def test_a_preview_is_a_short_lived_redirect() -> None:
    """R12: 302 to a signed URL that nobody may keep."""
    async with a_world(FakeDesigningJobProvider()) as world:
        voice_id = await world.clone(tone_wav(0.5))
        answer = await world.ask("GET", f"/api/voices/{voice_id}/preview")
        assert (answer.status, answer.content) == (302, b"")
        assert answer.headers["cache-control"] == "private, no-store"
        media = await world.ask("GET", answer.headers["location"], owner=None)
        assert (media.status, media.content) == (200, tone_wav(0.5))
        assert media.headers["content-type"] == "audio/wav"


@pytest.mark.parametrize("voice_id", [MISSING_ID, "7", "\N{SNOWMAN}"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/voices/{}/preview"), ("DELETE", "/api/voices/{}")]
)
async def test_a_voice_that_is_not_there_is_not_found(
    method: str, path: str, voice_id: str
) -> None:
    """R12, R13; a malformed id too (C7)."""
    async with a_world() as world:
        answer = await world.ask(method, path.format(voice_id))
        assert (answer.status, answer.detail) == (404, "Voice not found.")


async def test_a_voice_without_a_recording_says_so() -> None:
    """R12: a built-in one, one that came without, and one whose recording was lost."""
    async with a_world(FakeDesigningJobProvider()) as world:
        await world.add_voice(MISSING_ID, "Vera")
        lost = await world.clone()
        voice = await world.store.get_voice("ann", lost)
        assert voice is not None
        assert voice.reference_audio_key is not None
        await world.blobs.delete(voice.reference_audio_key)
        for voice_id in (VOICE, MISSING_ID, lost):
            answer = await world.ask("GET", f"/api/voices/{voice_id}/preview")
            assert (answer.status, answer.detail) == (404, "Voice has no reference audio.")


async def test_a_key_outside_the_owners_prefix_is_never_signed() -> None:
    """R12: a row that was imported may name anything."""
    async with a_world(FakeDesigningJobProvider()) as world:
        hers = await world.store.get_voice("bob", await world.clone(owner="bob"))
        assert hers is not None
        forged = Voice(
            id=MISSING_ID, name="x", tts_provider="fake", owner="ann", source=VoiceSource.UPLOADED
        )
        forged = replace(forged, reference_audio_key=hers.reference_audio_key)
        assert await world.store.add_voice(forged)
        answer = await world.ask("GET", f"/api/voices/{MISSING_ID}/preview")
        assert (answer.status, answer.detail) == (403, "Invalid storage object key.")


async def test_deleting_a_voice_hides_it_and_keeps_what_it_said() -> None:
    """R13: repeatable; it can't be listed, heard or spoken with, and the history keeps its name."""
    async with a_world(FakeDesigningJobProvider()) as world:
        voice_id = await world.clone()
        spoken = {"voice_id": voice_id, "text": "Hello"}
        assert (await world.ask("POST", "/api/generate", send=spoken)).status == 200
        blobs = len([blob async for blob in world.blobs.list("")])
        for _ in range(2):
            answer = await world.ask("DELETE", f"/api/voices/{voice_id}")
            assert (answer.status, answer.json) == (200, {"ok": True})
        assert (await world.ask("GET", "/api/voices?source=uploaded")).json["voices"] == []
        assert (await world.ask("GET", f"/api/voices/{voice_id}/preview")).status == 404
        refused = await world.ask("POST", "/api/generate", send=spoken)
        assert (refused.status, refused.detail) == (404, "Voice not found")
        line = (await world.ask("GET", "/api/generations")).only("generations")
        assert line["voice_name"] == "Vera"
        assert len([blob async for blob in world.blobs.list("")]) == blobs


async def test_a_built_in_voice_can_not_be_deleted() -> None:
    """R13: 400, whoever asks."""
    async with a_world() as world:
        answer = await world.ask("DELETE", f"/api/voices/{VOICE.upper()}")
        assert (answer.status, answer.detail) == (400, "Built-in voices cannot be deleted.")
