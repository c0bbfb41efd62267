"""Fake vendors that outlive the server under test, with a voice of each in its database."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from tests.server.running import environment
from ttsorch.config import LOCAL_OWNER, Config, open_orchestrator
from ttsorch.models import Voice
from ttsorch.testing.speech import tone_wav

Fake = TypeVar("Fake")

WORDS = "One two three."


@contextmanager
def beside(fake: AbstractAsyncContextManager[Fake]) -> Iterator[Fake]:
    """The fake in a thread of its own, so that it goes on while the test waits."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(fake) as running:
        yield running


def cloned_voice(folder: Path, vendor: str, settings: Mapping[str, str]) -> Voice:
    """Cloned through the library, over the data of a server that is not running."""

    async def clone() -> Voice:
        environ = {**environment(folder), **settings, "TTS_PROVIDER_MODE": vendor}
        async with open_orchestrator(Config.from_env(environ), background=False) as speech:
            voice_id = str(uuid.uuid4())
            await speech.upload_clip(voice_id, tone_wav(4.0, rate=24_000), owner=LOCAL_OWNER)
            return await speech.clone_voice(
                voice_id, name=f"{vendor} voice", transcript=WORDS, owner=LOCAL_OWNER
            )

    return anyio.run(clone)
