"""A task that no step takes further: isolated, counted, tried later each time, and ended by its deadline."""

import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.orchestrator.world import OWNER, POLICY, World, completed
from ttsorch._steps import Steps
from ttsorch.errors import Category, InternalError, StorageUnavailable
from ttsorch.models import Job, Phase, StuckTask, Task
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio

SECRET = "sk-secret-of-the-vendor"


def broken_steps(monkeypatch: pytest.MonkeyPatch, tts: Orchestrator, phase: Phase) -> list[str]:
    """Have every step in this phase raise, as a bug would; the ids of the tasks it was tried with."""
    tried: list[str] = []

    async def step(job: Job) -> Job:
        tried.append(job.task.id)
        raise KeyError("a bug")

    monkeypatch.setattr(tts._steps, "_by_phase", {**tts._steps._by_phase, phase: step})
    return tried


async def swept(world: World, tts: Orchestrator, job: Job, seconds: int) -> Job:
    """A sweep each second."""
    for _ in range(seconds):
        world.clock.advance(1)
        await tts.sweep_once()
    return await world.stored(job)


@pytest.mark.parametrize(
    ("phase", "code"),
    [(Phase.QUEUED, "accept_deadline_passed"), (Phase.RUNNING, "finish_deadline_passed")],
)
async def test_a_task_whose_step_always_raises_ends_at_its_deadline(
    monkeypatch: pytest.MonkeyPatch, phase: Phase, code: str
) -> None:
    """As a timeout, after few tries, each later than the one before."""
    provider = FakeDirectProvider() if phase is Phase.QUEUED else FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        tried = broken_steps(monkeypatch, tts, phase)
        due = job.task.accept_by if phase is Phase.QUEUED else job.task.finish_by
        left = int((due - world.clock()).total_seconds())
        job = await swept(world, tts, job, left - 1)
        assert (job.task.phase, job.task.version) == (phase, (await world.stored(job)).task.version)
        (stuck,) = await tts.list_stuck()
        assert (stuck.id, stuck.failures, stuck.reason) == (job.task.id, len(tried), "KeyError")
        job = await swept(world, tts, job, 2)
        assert await tts.list_stuck() == []
    assert 4 < len(tried) < 12
    assert job.task.error is not None
    assert (job.task.phase, job.task.error.category) == (Phase.FAILED, Category.TIMEOUT)
    assert job.task.error.code == code


async def test_a_broken_step_is_logged_once_per_try(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the task's id and the traceback, and without what the row holds in confidence."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        version = job.task.version
        holding = replace(job.task, ticket={"token": SECRET}, version=version + 1)
        assert await world.tasks.replace(holding, job.generation, expected_version=version)
        tried = broken_steps(monkeypatch, tts, Phase.RUNNING)
        caplog.set_level(logging.DEBUG, "ttsorch")
        await swept(world, tts, job, 60)
    assert len(tried) == 3
    told = [record for record in caplog.records if job.task.id in record.getMessage()]
    assert [record.levelname for record in told] == ["ERROR"] * 3
    assert all(record.exc_info for record in told)
    assert SECRET not in caplog.text


async def test_a_broken_step_of_the_background_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a sweep by hand, where nobody waits for the step."""
    world = World(FakeJobProvider(), policy=replace(POLICY, sweep_interval=0.001))
    original, aside = world.tasks.put_aside, anyio.Event()

    async def put_aside(task_id: str, **how: Any) -> bool:
        written = await original(task_id, **how)
        aside.set()
        return written

    monkeypatch.setattr(world.tasks, "put_aside", put_aside)
    async with world.running(background=True) as tts:
        job = await world.submitted(tts)
        tried = broken_steps(monkeypatch, tts, Phase.RUNNING)
        world.clock.advance(POLICY.check_interval + 1)
        with anyio.fail_after(5):
            await aside.wait()
    told = [record for record in caplog.records if job.task.id in record.getMessage()]
    assert ([record.levelname for record in told], len(tried)) == (["ERROR"], 1)


async def test_a_poll_of_a_broken_task_counts_as_a_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its caller is told of a defect of ours; the next sweep leaves it alone for longer."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        job = await world.submitted(tts)
        broken_steps(monkeypatch, tts, Phase.RUNNING)
        for _ in range(3):
            with pytest.raises(InternalError):
                await tts.poll_once(job.task.id, owner=OWNER)
        (stuck,) = await tts.list_stuck()
        assert stuck.failures == 3
        world.clock.advance(39)
        assert (await tts.sweep_once()).stepped == 0


async def test_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that are broken take no page from one that is healthy."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        for _ in range(POLICY.sweep_batch):
            await world.submitted(tts)
        tried = broken_steps(monkeypatch, tts, Phase.QUEUED)
        report = await tts.sweep_once()
        assert (report.stepped, report.failed) == (POLICY.sweep_batch, POLICY.sweep_batch)
        world.clock.advance(9)
        monkeypatch.undo()
        healthy = await world.submitted(tts)
        assert (await tts.sweep_once()).stepped == 1
        assert completed(await world.stored(healthy))
        assert len(tried) == POLICY.sweep_batch


async def test_a_defect_before_the_step_is_put_aside_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In what says how long the step will take: the sweep goes on."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        bad, good = [await world.submitted(tts) for _ in range(2)]
        original = Steps.synthesizes

        def synthesizes(self: Steps, task: Task) -> bool:
            if task.id == bad.task.id:
                raise ValueError("no such phase")
            return original(self, task)

        monkeypatch.setattr(Steps, "synthesizes", synthesizes)
        report = await tts.sweep_once()
        assert (report.stepped, report.failed) == (2, 1)
        monkeypatch.undo()
        assert completed(await world.stored(good))
        (stuck,) = await tts.list_stuck()
        assert (stuck.id, stuck.reason) == (bad.task.id, "ValueError")
    assert caplog.text.count(f"unexpected error before a step of {bad.task.id}") == 1


async def test_a_task_that_can_not_be_put_aside_stays_held(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the database is away just then: it is due again after the sweep's own hold."""
    world = World(FakeJobProvider())

    async def put_aside(*args: object, **kwargs: object) -> bool:
        raise StorageUnavailable(detail="away")

    async with world.running() as tts:
        job = await world.submitted(tts)
        tried = broken_steps(monkeypatch, tts, Phase.RUNNING)
        monkeypatch.setattr(world.tasks, "put_aside", put_aside)
        await swept(world, tts, job, 25)
    assert len(tried) == 3
    assert f"task {job.task.id} could not be put aside: away" in caplog.text


async def test_a_task_of_a_provider_that_is_gone_is_looked_at_less_often_and_ends() -> None:
    """Once a minute in the end, since a process that knows its provider may be waiting for its turn."""
    old = FakeDirectProvider("old")
    world = World(old)
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = FakeJobProvider("new")
    async with world.running() as tts:
        stepped = 0
        for _ in range(int(POLICY.accept_within) - 1):
            world.clock.advance(1)
            stepped += (await tts.sweep_once()).stepped
        assert stepped < 20
        (stuck,) = await tts.list_stuck()
        assert stuck == StuckTask(
            id=job.task.id,
            owner=OWNER,
            provider="old",
            kind="generate",
            phase="queued",
            failures=stepped,
            reason="provider_not_configured",
            next_action_at=job.task.accept_by,
        )
        world.clock.advance(1)
        await tts.sweep_once()
        ended = await world.stored(job)
    assert ended.task.error is not None
    assert (ended.task.phase, ended.task.error.code) == (Phase.FAILED, "accept_deadline_passed")


async def test_a_step_forward_makes_a_task_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bug is mended, the next try goes on from where the row is."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await world.submitted(tts)
        broken_steps(monkeypatch, tts, Phase.RUNNING)
        await swept(world, tts, job, 40)
        monkeypatch.undo()
        job = await swept(world, tts, job, 60)
        assert completed(job)
        assert await tts.list_stuck() == []


async def test_a_row_that_can_not_be_read_is_listed(tmp_path: Path) -> None:
    """It stops no sweep, and an operator finds it."""
    clock = ManualClock()
    store = await SqliteTaskStore.open(tmp_path / "t.db", clock=clock)
    world = World(FakeDirectProvider(), clock=clock, store=store)
    async with world.running() as tts:
        bad, good = [await world.submitted(tts) for _ in range(2)]
        with closing(sqlite3.connect(tmp_path / "t.db")) as db:
            db.execute("UPDATE tasks SET options = '{' WHERE id = ?", [bad.task.id])
            db.commit()
        assert (await tts.sweep_once()).stepped == 1
        assert completed(await world.stored(good))
        (stuck,) = await tts.list_stuck()
        assert (stuck.id, stuck.reason, stuck.failures) == (bad.task.id, "unreadable", 1)
    await store.aclose()
