"""DashScope itself: one short synthesis in a voice of the vendor's."""

import pytest

from tests.live.speaking import spoken
from ttsorch import Orchestrator, Voice

pytestmark = pytest.mark.anyio


async def cherry(speech: Orchestrator) -> Voice:
    return next(voice for voice in await speech.builtin_voices() if voice.name == "Cherry")


@pytest.mark.timeout(600)
async def test_a_text_is_spoken_and_stored() -> None:
    """A text becomes audio in our own storage, with the vendor's request id and usage for the bill."""
    job = await spoken("qwen", cherry)

    assert job.task.audio is not None
    assert job.task.audio.content_type == "audio/wav"
    assert job.task.audio.duration > 0.3
    assert job.task.attempts == 1
    assert set(job.task.receipt or {}) == {"request_id", "model", "usage"}
    assert job.task.envelope is None
