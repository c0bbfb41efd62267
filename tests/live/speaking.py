"""One paid job from submit to stored audio, with nothing in a failure's words but our own sentences.

pytest shows the arguments of the functions in a traceback; those of an exchange are URLs and settings. So
errors are caught here and told in their codes.
"""

import os
import uuid
from collections.abc import Awaitable, Callable

import anyio
import pytest

from ttsorch import Job, Orchestrator, SpeechRequest, TtsorchError, Voice
from ttsorch.providers import load_provider
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.speakers import engine_speaker

OWNER = "live-test"

#: Fourteen characters: the shortest text whose speech can't be mistaken for a click.
TEXT = "One two three."

_WORDS = "Every voice begins with somebody who reads a sentence aloud, slowly and clearly."
_POLL_SECONDS = 2.0

Choose = Callable[[Orchestrator], Awaitable[Voice]]


async def spoken(provider: str, choose: Choose) -> Job:
    """The finished job of :data:`TEXT`, in the voice that ``choose`` finds or makes without a paid call."""
    try:
        return await _spoken(provider, choose)
    except TtsorchError as error:
        problem = f"{provider}: {error.category}, {error.code}: {error.message}"
    pytest.fail(problem, pytrace=False)


async def _spoken(name: str, choose: Choose) -> Job:
    provider = load_provider(name, os.environ)
    rows = MemoryTaskStore()
    try:
        async with Orchestrator(
            provider=provider, tasks=rows, voices=rows, blobs=MemoryBlobStore()
        ) as speech:
            request = SpeechRequest(TEXT, await choose(speech), "English")
            job = await speech.submit(request, owner=OWNER)
            while not job.task.status.terminal:
                await anyio.sleep(_POLL_SECONDS)
                job = await speech.poll_once(job.task.id, owner=OWNER)
    finally:
        await provider.aclose()
    if job.task.error is not None:
        raise job.task.error.as_error()
    return job


async def cloned(speech: Orchestrator) -> Voice:
    """A voice made of a recording by the embedded engine. Only where the provider keeps no voices is this
    free of charge."""
    assert speech.provider.capabilities.sends_clip
    voice_id = str(uuid.uuid4())
    await speech.upload_clip(voice_id, await engine_speaker()(_WORDS), owner=OWNER)
    return await speech.clone_voice(
        voice_id, name="Reader", language="English", transcript=_WORDS, owner=OWNER
    )
