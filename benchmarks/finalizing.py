"""A ``finalize`` of so many bytes from the fake vendor, whole: claim, download, audio gate, checksum, blob,
publication. How long it takes in this process, and how much the process grows by it."""

import time
from dataclasses import replace
from pathlib import Path

from benchmarks.rows import a_running_job
from ttsorch._download import Downloader
from ttsorch.models import AudioSource, Envelope, Job, Phase
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.fakes import FakeJobProvider

#: What is stored before anything is measured, so that what is imported, opened and allocated for any result
#: is there.
SMALL = 2_000_000
_OWNER = "ann"


async def finalized(url: str, size: int, rows: Path, blobs: BlobStore) -> dict[str, float]:
    """``seconds``, and ``grown`` in MiB; ``rows`` is a folder for the tasks."""
    provider = _Vendor(url)
    store = await SqliteTaskStore.open(rows / "tasks.db")
    async with Orchestrator(
        provider=provider, tasks=store, blobs=blobs, background=False
    ) as orchestrator:

        async def store_one(audio_bytes: int) -> None:
            job = provider.ready(audio_bytes)
            await store.create(job.task, job.generation)
            after = await orchestrator.finalize(job.task.id, owner=_OWNER)
            if after.task.audio is None or after.task.audio.size != audio_bytes:
                raise AssertionError(f"not stored: {after.task.error}")

        await store_one(SMALL)
        resident = memory("VmRSS")
        before = time.perf_counter()
        await store_one(size)
        seconds = time.perf_counter() - before
        grown = memory("VmHWM") - resident
    await store.aclose()
    await provider.aclose()
    return {"seconds": seconds, "grown": grown}


def memory(name: str) -> float:
    """In MiB: ``VmRSS`` is what the process has now, ``VmHWM`` the most that it has had (Linux, proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


class _Vendor(FakeJobProvider):
    """Results are on another server, as most vendors' are."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._downloader = Downloader(hosts=(), private=(url.removeprefix("http://"),))

    def ready(self, audio_bytes: int) -> Job:
        """A job whose result can be fetched."""
        job = a_running_job(_OWNER, self.name, {"id": "job-1"})
        envelope = {"url": f"{self._url}/audio?bytes={audio_bytes}"}
        return replace(job, task=replace(job.task, phase=Phase.READY, envelope=envelope))

    def fetch(self, envelope: Envelope) -> AudioSource:
        return self._downloader.open(str(envelope["url"]))

    async def aclose(self) -> None:
        await self._downloader.aclose()
