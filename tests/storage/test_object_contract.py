"""A server whose audio is in a bucket: the contract's links, and what a crash leaves behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast

import httpx
import pytest

from tests.contract.world import SIGNING_KEY, World
from tests.storage.buckets import S3Bucket
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.blob_store_tools import WAV, keys, pieces
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """obstore needs asyncio."""
    return "asyncio"


@asynccontextmanager
async def a_world_in(bucket: S3Bucket) -> AsyncIterator[World]:
    clock = ManualClock()
    store, blobs, provider = (
        MemoryTaskStore(clock=clock),
        bucket.store("audio"),
        FakeCastingProvider(),
    )
    async with Orchestrator(
        provider=provider, tasks=store, voices=store, blobs=blobs, background=False
    ) as orchestrator:
        handler = ContractHandler(orchestrator, signing_key=SIGNING_KEY)
        yield World(orchestrator, handler, store, cast("MemoryBlobStore", blobs), clock, provider)


async def _opened(link: str) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.get(link)


async def test_audio_is_redirected_to_the_bucket(bucket: S3Bucket) -> None:
    """R8: 302 to a link that the bucket itself answers, with the audio and its type."""
    async with a_world_in(bucket) as world:
        _, generation_id = await world.finish()
        link = await world.audio_link(generation_id)
        assert link.startswith(f"{bucket.origin}/{bucket.name}/audio/")
        answer = await _opened(link)
        (job,) = await world.jobs()
        assert job.task.audio is not None
        assert (answer.status_code, len(answer.content)) == (200, job.task.audio.size)
        assert answer.headers["content-type"] == WAV


async def test_a_recording_is_previewed_from_the_bucket(bucket: S3Bucket) -> None:
    """R12, after R14 and R15: what was uploaded through us is played from there."""
    async with a_world_in(bucket) as world:
        recording = tone_wav(seconds=3.0)
        voice_id = await world.clone(recording)
        answer = await world.ask("GET", f"/api/voices/{voice_id}/preview")
        assert answer.status == 302
        opened = await _opened(answer.headers["location"])
        assert (opened.status_code, opened.content) == (200, recording)


async def test_a_designed_preview_is_an_absolute_link_into_the_bucket(bucket: S3Bucket) -> None:
    """R16: the finished preview's ``audio_url`` works as it is."""
    async with a_world_in(bucket) as world:
        task_id = await world.previewed()
        result = (await world.poll(task_id))["result"]
        assert isinstance(result, dict)
        opened = await _opened(str(result["audio_url"]))
        assert opened.status_code == 200
        assert opened.content[:4] == b"RIFF"


async def test_orphans_of_a_bucket_are_collected(bucket: S3Bucket) -> None:
    """I17: what no row names goes after its grace period, what a row names stays; a dry run by default."""
    async with a_world_in(bucket) as world:
        await world.finish()
        (kept,) = await keys(world.blobs)
        orphan = f"{kept.rpartition('/')[0]}/99.wav"
        await world.blobs.put(orphan, pieces(b"sound"), WAV)
        world.clock.advance((datetime.now(UTC) - world.clock()).total_seconds() + 7200)
        assert await world.orchestrator.collect_orphans() == [orphan]
        assert orphan in await keys(world.blobs)
        assert await world.orchestrator.collect_orphans(dry_run=False) == [orphan]
        assert await keys(world.blobs) == [kept]
