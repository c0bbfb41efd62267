"""The reference server against a vendor that needs no account: a fake on loopback ports. It speaks with the
embedded engine and forgets everything when it stops, and so does the server. It opens no other database,
whatever the environment names: there, the fake would be asked about jobs of the real vendor, would know
nothing of them, and so end what was paid for.
"""

import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from examples.reference_server.serving import serve
from ttsorch.config import LOCAL_OWNER, Config
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_dashscope import fake_dashscope
from ttsorch.testing.fake_modal import fake_modal
from ttsorch.testing.speakers import Speaker, engine_speaker

VENDORS = ("modal", "qwen")
_OF_VENDORS = ("MODAL_", "DASHSCOPE_", "QWEN_")

_WORDS = "Every voice begins with somebody who reads a sentence aloud, slowly and clearly."


async def serve_offline(vendor: str, environ: Mapping[str, str]) -> None:
    """Serve until SIGINT or SIGTERM, with ``TTS_PROVIDER_MODE`` and the vendor's variables set to a fake."""
    speak = engine_speaker()
    with tempfile.TemporaryDirectory(prefix="ttsorch-") as folder:
        async with _fake(vendor, speak) as settings:
            ours = {
                "TTSORCH_DATABASE_URL": f"sqlite:///{folder}/ttsorch.db",
                "TTSORCH_BLOB_URL": Path(folder, "blobs").as_uri(),
                "TTS_PROVIDER_MODE": vendor,
            }
            config = Config.from_env({**_without_vendors(environ), **settings, **ours})
            await serve(config, partial(_give_voices, config, speak))


def _without_vendors(environ: Mapping[str, str]) -> Mapping[str, str]:
    # Half of a real account's settings would contradict the fake's.
    return {name: environ[name] for name in environ if not name.startswith(_OF_VENDORS)}


@asynccontextmanager
async def _fake(vendor: str, speak: Speaker) -> AsyncIterator[Mapping[str, str]]:
    if vendor == "modal":
        async with fake_modal(speak=speak) as modal:
            yield modal.environ()
    else:
        async with fake_dashscope(speak=speak) as dashscope:
            yield dashscope.environ()


async def _give_voices(config: Config, speak: Speaker, orchestrator: Orchestrator) -> None:
    """A cloned voice for everybody: Modal comes without any."""
    for owner in sorted(set(config.tokens.values()) if config.tokens else {LOCAL_OWNER}):
        voice_id = str(uuid.uuid4())
        await orchestrator.upload_clip(voice_id, await speak(_WORDS), owner=owner)
        await orchestrator.clone_voice(
            voice_id, name="Reader", language="English", transcript=_WORDS, owner=owner
        )
