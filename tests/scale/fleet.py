"""What a test sees of its workers, and the things that they share: a database, a folder and a vendor."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.scale.worker import OWNER, Open, Order, opened
from tests.vendors.on_sockets import a_short_clip, hashed_speaker, in_one
from ttsorch._keys import clip_key
from ttsorch.models import Job
from ttsorch.testing.fake_modal import FakeModal, fake_modal
from ttsorch.testing.invariants import check_blobs, check_rows

ROOT = Path(__file__).parents[2]


@dataclass
class Worker:
    """One process, by what it said."""

    pid: int
    said: list[list[str]] = field(default_factory=list)

    def heard(self, *words: str) -> list[list[str]]:
        """What it said that begins so."""
        return [line for line in self.said if line[: len(words)] == list(words)]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


class Fleet:
    """All workers of a test. ``common`` is the order that theirs are made of."""

    def __init__(self, modal: FakeModal, common: Order, process: Process) -> None:
        self.modal = modal
        self.common = common
        self.workers: dict[int, Worker] = {}
        self._process = process
        self._news = anyio.Event()

    async def read(self) -> None:
        """Hear what the workers say, for as long as any of them can."""
        assert self._process.stdout is not None
        lines = BufferedByteReceiveStream(self._process.stdout)
        while True:
            try:
                pid, *words = (await lines.receive_until(b"\n", 10_000)).decode().split()
            except anyio.IncompleteRead:
                return
            assert words != ["broken"], "a worker broke; see what it wrote"
            self.workers.setdefault(int(pid), Worker(int(pid))).said.append(words)
            self._news.set()
            self._news = anyio.Event()

    async def until(self, condition: Callable[[], bool], *, seconds: float = 90) -> None:
        """Wait until what was heard says so."""
        with anyio.fail_after(seconds):
            while not condition():
                await self._news.wait()

    async def start(self, mode: str, **more: object) -> Worker:
        """A new worker."""
        before = set(self.workers)
        order = replace(self.common, mode=mode, **more)  # type: ignore[arg-type]
        assert self._process.stdin is not None
        await self._process.stdin.send((json.dumps(asdict(order)) + "\n").encode())
        await self.until(lambda: bool(set(self.workers) - before))
        (pid,) = set(self.workers) - before
        return self.workers[pid]

    def heard(self, *words: str) -> list[list[str]]:
        """What any worker said, those that are dead by now too."""
        return [line for worker in self.workers.values() for line in worker.heard(*words)]

    def be_calm(self) -> None:
        """No user asks for anything more."""
        (Path(self.common.folder) / "calm").touch()

    @asynccontextmanager
    async def witness(self, **more: object) -> AsyncIterator[Open]:
        """A worker's parts in this process, without sweeps."""
        async with opened(replace(self.common, mode="witness", **more)) as parts:  # type: ignore[arg-type]
            yield parts


@asynccontextmanager
async def a_fleet(database: str, folder: Path, *, checks: int = 1) -> AsyncIterator[Fleet]:
    """Nobody works yet. On leaving, every worker is killed, also after a failure."""
    async with fake_modal(speak=hashed_speaker, checks_until_done=checks) as modal:
        common = Order("", database, str(folder), modal.environ())
        async with opened(replace(common, mode="witness")) as parts:
            clip = clip_key(OWNER, "voice", "wav")
            await parts.blobs.put(clip, in_one(a_short_clip()), "audio/wav")
        command = [sys.executable, "-W", "ignore", "-m", "tests.scale.worker"]
        process = await anyio.open_process(command, cwd=ROOT, stderr=None)
        try:
            async with anyio.create_task_group() as tasks:
                fleet = Fleet(modal, common, process)
                tasks.start_soon(fleet.read)
                yield fleet
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()
                await process.aclose()


async def all_jobs(parts: Open) -> list[Job]:
    """Every row there is."""
    jobs: list[Job] = []
    before = None
    while page := await parts.tasks.list_tasks(OWNER, before=before, limit=500):
        jobs += page
        before = (page[-1].task.created_at, page[-1].task.id)
    return jobs


async def check_invariants(jobs: list[Job], parts: Open) -> None:
    """I1, I3, I4, I15 and I20, of rows that have ended; and each blob says its own text."""
    for job in jobs:
        assert job.task.status.terminal, f"{job.task.id} is stuck in {job.task.phase}"
        check_rows(job)
        if job.task.audio is not None and job.generation is not None:
            async with parts.blobs.open(job.task.audio.key) as blob:
                heard = b"".join([chunk async for chunk in blob.chunks])
            assert heard == await hashed_speaker(job.generation.text)
    await check_blobs(jobs, parts.blobs)


async def published(parts: Open, job: Job) -> list[str]:
    """The keys of all blobs that were ever uploaded for this job and are still there."""
    assert job.generation is not None
    return [blob.key async for blob in parts.blobs.list("") if f"/{job.generation.id}/" in blob.key]
