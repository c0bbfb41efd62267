"""A web process that leaves long calls to workers."""

import pytest

from tests.orchestrator.world import OWNER, POLICY, World, completed, polled_to_the_end
from ttsorch.models import Phase, Status
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio


async def test_polls_leave_a_direct_task_to_another_process() -> None:
    """Any number of polls make no call; the step of a worker does, and the next poll sees the end."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running(polls_synthesize=False) as web:
        job = await world.submitted(web)
        for _ in range(3):
            job = await web.poll_once(job.task.id, owner=OWNER)
            assert job.task.phase is Phase.QUEUED
        assert provider.ledger.submits == 0
        async with world.running() as worker:
            await worker.step(job.task.id, owner=OWNER)
        assert completed(await web.poll_once(job.task.id, owner=OWNER))
    assert provider.ledger.submits == 1


async def test_a_sweep_in_another_process_makes_the_long_call() -> None:
    """A tick that got lost is made good by whoever sweeps."""
    world = World(FakeDirectProvider())
    async with world.running(polls_synthesize=False) as web, world.running() as worker:
        job = await world.submitted(web)
        await worker.sweep_once()
        assert completed(await web.get(job.task.id, owner=OWNER))


async def test_polls_still_check_and_store_a_job() -> None:
    """A job provider's calls are short: the web process drives them as ever."""
    world = World(FakeJobProvider(checks_until_ready=2))
    async with world.running(polls_synthesize=False) as web:
        assert completed(await polled_to_the_end(web, await world.submitted(web)))


async def test_polls_still_see_a_deadline_pass() -> None:
    """A direct task that no worker takes fails in time, without a call."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running(polls_synthesize=False) as web:
        job = await world.submitted(web)
        world.clock.advance(POLICY.accept_within + 1)
        job = await web.poll_once(job.task.id, owner=OWNER)
    assert job.task.status is Status.FAILED
    assert provider.ledger.submits == 0
