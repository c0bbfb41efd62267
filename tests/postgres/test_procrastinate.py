"""Ticks from Procrastinate's real workers, in processes of their own that die at any moment."""

import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from procrastinate import App, PsycopgConnector

from tests.postgres.server import Server
from tests.postgres.ticking_worker import POLICY
from tests.vendors.on_sockets import (
    Call,
    Vendor,
    a_modal_voice,
    a_provider,
    a_short_clip,
    a_vendor,
    in_one,
)
from ttsorch._keys import clip_key
from ttsorch.models import Job, Phase, SpeechRequest, Status, Transition
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import Listener
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store import migrate_task_store
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.ticks.procrastinate import QUEUE, STEP, SWEEP, StepDeferrer, add_ticks

pytestmark = pytest.mark.anyio

OWNER = "owner-0"
NEVER, EVERY_SECOND = "0 0 29 2 *", "* * * * * *"
_KILLS = 4


class Setting:
    """A web process, which is this one, and the workers beside it, over one database and one folder."""

    def __init__(self, url: str, folder: Path, vendor: Vendor, app: App, web: Orchestrator) -> None:
        self.url, self.folder, self.vendor, self.app, self.web = url, folder, vendor, app, web

    async def submitted(self, text: str) -> Job:
        if self.web.provider.name == "modal":
            key = clip_key(OWNER, "voice", "wav")
            if not [blob async for blob in self.web.blobs.list(key)]:
                await self.web.blobs.put(key, in_one(a_short_clip()), "audio/wav")
            voice = a_modal_voice(OWNER, key)
        else:
            voice = (await self.web.builtin_voices())[0]
        request = SpeechRequest(text, voice, "English")
        return await self.web.submit(request, owner=OWNER)

    @contextmanager
    def worker(self, cron: str) -> Iterator[subprocess.Popen[str]]:
        arguments = [self.url, str(self.folder), self.web.provider.name, cron]
        environ: Mapping[str, str] = {**os.environ, **self.vendor.environ}
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.postgres.ticking_worker", *arguments],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    async def ended(self, jobs: Sequence[Job]) -> list[Job]:
        """As the rows say, without a poll: no tick comes from here."""
        with anyio.fail_after(25):
            while True:
                seen = [await self.web.get(job.task.id, owner=OWNER) for job in jobs]
                if all(job.task.status.terminal for job in seen):
                    return seen
                await anyio.sleep(0.02)

    async def queued(self) -> int:
        waiting = await self.app.job_manager.list_jobs_async(queue=QUEUE, task=STEP, status="todo")
        return len(list(waiting))


@asynccontextmanager
async def setting(
    url: str, folder: Path, call: Call, listener: Listener | None = None
) -> AsyncIterator[Setting]:
    await migrate_task_store(url)
    app = App(connector=PsycopgConnector(conninfo=url))
    async with app.open_async(), a_vendor(call) as vendor, AsyncExitStack() as parts:
        await app.schema_manager.apply_schema_async()
        store, provider = await PostgresTaskStore.open(url), a_provider(vendor)
        parts.push_async_callback(store.aclose)
        parts.push_async_callback(provider.aclose)
        async with Orchestrator(
            provider=provider,
            tasks=store,
            blobs=FilesystemBlobStore(folder),
            policy=POLICY,
            background=False,
            polls_synthesize=False,
            listeners=[listener or StepDeferrer(app, check_interval=0.1)],
        ) as web:
            yield Setting(url, folder, vendor, app, web)


async def ready(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    assert await anyio.to_thread.run_sync(worker.stdout.readline) == "ready\n"


@pytest.mark.parametrize("call", [Call.MODAL_GENERATE, Call.QWEN_GENERATE])
async def test_a_job_goes_all_the_way_by_its_ticks(
    server: Server, empty_database: str, tmp_path: Path, call: Call
) -> None:
    """Without a poll and without a sweep: what submit deferred is stepped until it is completed. A direct
    provider is called by the worker; the web process's polls leave that alone."""
    async with setting(server.url(empty_database), tmp_path, call) as here:
        if call is Call.MODAL_GENERATE:
            here.vendor.modal.checks_until_done = 2  # so that a step has to defer the next one
        job = await here.submitted("Hello.")
        if call is Call.QWEN_GENERATE:
            job = await here.web.poll_once(job.task.id, owner=OWNER)
            assert job.task.phase is Phase.QUEUED
            assert here.vendor.ledger.accepted_texts() == []
        with here.worker(NEVER):
            [job] = await here.ended([job])
        assert job.task.status is Status.COMPLETED
        assert here.vendor.ledger.accepted_texts() == ["Hello."]


async def test_killed_workers_lose_nothing(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    """Workers are killed at random moments of their work; the next one finishes what they left, and each
    text was accepted once."""
    texts = [f"Text {number}." for number in range(_KILLS * 3)]
    async with setting(server.url(empty_database), tmp_path, Call.MODAL_GENERATE) as here:
        here.vendor.modal.checks_until_done = 2
        jobs: list[Job] = []
        for kill in range(_KILLS):
            with here.worker(EVERY_SECOND) as worker:
                await ready(worker)
                jobs += [await here.submitted(text) for text in texts[kill * 3 : kill * 3 + 3]]
                await anyio.sleep(
                    random.uniform(0, 0.5)
                )  # the moment of death, not a synchronisation
        with here.worker(EVERY_SECOND):
            ended = await here.ended(jobs)
        assert {job.task.status for job in ended} == {Status.COMPLETED}
        assert sorted(here.vendor.ledger.accepted_texts()) == sorted(texts)


async def test_a_lost_defer_is_made_good_by_the_sweep(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    """The queue was out of reach when the task was committed: it finishes all the same."""

    async def unreachable(transition: Transition) -> None:
        raise ConnectionError("the queue is away")

    url = server.url(empty_database)
    async with setting(url, tmp_path, Call.QWEN_GENERATE, unreachable) as here:
        job = await here.submitted("Hello.")
        assert await here.queued() == 0
        with here.worker(EVERY_SECOND):
            [job] = await here.ended([job])
        assert job.task.status is Status.COMPLETED


async def test_two_defers_make_one_queued_step(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    """The task's id is the queueing lock, so a step that waits already is enough."""
    url = server.url(empty_database)
    async with setting(url, tmp_path, Call.QWEN_GENERATE) as here:
        first, second = [await here.submitted(text) for text in ("One.", "Two.")]
        with anyio.fail_after(10):
            while await here.queued() < 2:
                await anyio.lowlevel.checkpoint()
        again = StepDeferrer(here.app)
        await again(Transition(None, first))
        await again(Transition(None, second))
        assert await here.queued() == 2


async def test_what_a_killed_worker_left_in_the_queue_is_cleared_away(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    """A job that is under way at no worker would stay for ever; a sweep removes it, and no live one."""
    async with setting(server.url(empty_database), tmp_path, Call.QWEN_GENERATE) as here:
        add_ticks(here.app, here.web, sweep_cron=NEVER)
        for task_id in ("dead", "alive"):
            step = here.app.configure_task(STEP, queueing_lock=task_id, schedule_in={"hours": 1})
            await step.defer_async(task_id=task_id, owner=OWNER)
        server.ask(
            empty_database,
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'task_id' = 'dead'",
        )
        await here.app.configure_task(SWEEP).defer_async(timestamp=0)
        await here.app.run_worker_async(
            queues=[QUEUE], wait=False, delete_jobs="always", install_signal_handlers=False
        )
        left = server.ask(empty_database, "SELECT args->>'task_id' FROM procrastinate_jobs")
        assert left == [("alive",)]


async def test_a_step_of_a_deleted_task_is_the_last(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    """Ticks may outlive their task: one more runs, and defers nothing."""
    async with setting(server.url(empty_database), tmp_path, Call.QWEN_GENERATE) as here:
        add_ticks(here.app, here.web, sweep_cron=NEVER)
        await here.app.configure_task(STEP).defer_async(task_id="gone", owner=OWNER)
        await here.app.run_worker_async(queues=[QUEUE], wait=False, install_signal_handlers=False)
        status = "SELECT status::text FROM procrastinate_jobs"
        assert server.ask(empty_database, status) == [("succeeded",)]
