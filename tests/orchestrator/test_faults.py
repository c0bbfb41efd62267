"""Break every single call that the orchestrator makes, in every way, and start again: nothing is lost,
nothing is paid twice, everything ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.orchestrator.world import OWNER, World, completed, crashing
from ttsorch.errors import TtsorchError
from ttsorch.models import OnUnknown
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.invariants import check_blobs, check_ledger, check_rows
from ttsorch.testing.speech import a_request

pytestmark = pytest.mark.anyio

Fake = FakeJobProvider | FakeDirectProvider

PROVIDERS: dict[str, Callable[[], Fake]] = {
    "job": lambda: FakeJobProvider(checks_until_ready=1),
    "direct, envelope": lambda: FakeDirectProvider(fetchable=True),
    "direct, bytes": FakeDirectProvider,
    "direct, free": lambda: FakeDirectProvider(on_unknown=OnUnknown.RESUBMIT),
}
MOST_PLACES = 200


async def speak(tts: Orchestrator) -> None:
    """Submit and poll four times, going on after an error as a client does."""
    job = None
    for _ in range(2):
        try:
            job = job or await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
        except TtsorchError:
            continue
    for _ in range(4):
        if job is None:
            return
        try:
            await tts.poll_once(job.task.id, owner=OWNER)
        except TtsorchError:
            continue


async def cancel(tts: Orchestrator) -> None:
    """Submit, poll once, cancel, and insist."""
    for _ in range(3):
        try:
            job = await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
            await tts.poll_once(job.task.id, owner=OWNER)
            await tts.cancel(job.task.id, owner=OWNER)
        except TtsorchError:
            continue


async def run_broken(
    world: World, plan: FaultPlan, scenario: Callable[[Orchestrator], Awaitable[None]]
) -> None:
    async with crashing(), world.running(plan=plan) as tts:
        with anyio.CancelScope() as scope:
            plan.scope = scope
            await scenario(tts)


async def recover(world: World) -> None:
    """Faults have stopped: a new process sweeps, and time goes by until every deadline has passed."""
    async with world.running() as tts:
        for seconds in (1, 20, 20, 60, 120, 120, 600, 3600, 60, 60):
            world.clock.advance(seconds)
            await tts.sweep_once()


async def check_everything(world: World, provider: Fake) -> None:
    jobs = await world.tasks.list_tasks(OWNER)
    assert len(jobs) <= 1
    for job in jobs:
        assert job.task.status.terminal, f"stuck in {job.task.phase}"
        assert not job.task.cancel_owed
        check_rows(job)
        check_ledger(job, provider)
    if not jobs:
        assert provider.ledger.accepted == []
    assert provider.ledger.in_flight == 0
    await check_blobs(jobs, world.blobs)
    world.clock.advance(world.policy.orphan_grace + 1)
    async with world.running() as tts:
        await tts.collect_orphans(dry_run=False)
    named = [job.task.audio.key for job in jobs if job.task.audio]
    assert await world.blob_keys() == named


@asynccontextmanager
async def each_place(
    make: Callable[[], Fake],
    fault: Fault,
    scenario: Callable[[Orchestrator], Awaitable[None]],
    make_world: Callable[[Fake], World] = World,
) -> AsyncIterator[list[World]]:
    """Run the scenario with the fault at place 1, 2, 3, … until a run gets through untouched."""
    worlds: list[World] = []
    for place in range(1, MOST_PLACES):
        provider = make()
        world = make_world(provider)
        plan = FaultPlan(fault, at=place)
        await run_broken(world, plan, scenario)
        await recover(world)
        await check_everything(world, provider)
        if not plan.struck:
            yield worlds
            return
        world.broken = plan.broken
        worlds.append(world)
    raise AssertionError("the scenario never ends")


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_speech_survives_a_fault_at_every_place(name: str, fault: Fault) -> None:
    """Whatever breaks, the task ends, one blob is published at most, and one job is paid at most."""
    async with each_place(PROVIDERS[name], fault, speak) as worlds:
        assert len(worlds) >= 9


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_cancel_survives_a_fault_at_every_place(name: str, fault: Fault) -> None:
    """The task is ended, never resurrected, and the provider is told."""
    async with each_place(PROVIDERS[name], fault, cancel) as worlds:
        assert len(worlds) >= 5


async def test_engines_that_cost_nothing_always_finish() -> None:
    """Where asking again is allowed, no single fault keeps the speech from being made."""
    for fault in Fault:
        async with each_place(PROVIDERS["direct, free"], fault, speak) as worlds:
            for world in worlds:
                for job in await world.tasks.list_tasks(OWNER):
                    assert completed(job), job.task.error


async def test_a_job_providers_speech_is_lost_only_with_its_ticket() -> None:
    """Any single fault outside the submit itself still ends in completed."""
    for fault in (Fault.CRASH, Fault.ERROR, Fault.REPLY_LOST, Fault.CANCEL):
        async with each_place(PROVIDERS["job"], fault, speak) as worlds:
            for world in worlds:
                for job in await world.tasks.list_tasks(OWNER):
                    assert completed(job) or job.task.outcome_open, (world.broken, job.task)
