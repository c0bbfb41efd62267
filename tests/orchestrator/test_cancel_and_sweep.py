"""Cancel, whatever it races; and the sweep, which finishes what nobody polls."""

from dataclasses import replace

import anyio
import pytest

from tests.orchestrator.world import OWNER, POLICY, World, completed, paused_at, polled_to_the_end
from ttsorch.errors import InternalError, NotFound, ProviderUnavailable, StorageUnavailable
from ttsorch.models import Generation, Phase, Status, Task, Transition
from ttsorch.orchestrator import SweepReport
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio


async def test_a_cancelled_job_is_cancelled_at_the_provider_once() -> None:
    """The row ends first, then the provider is told; a second cancel tells nobody."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        cancelled = await tts.cancel(job.task.id, owner=OWNER)
        again = await tts.cancel(job.task.id, owner=OWNER)
    assert (cancelled.task.status, cancelled.task.cancel_owed) == (Status.CANCELLED, False)
    assert cancelled.generation is not None
    assert cancelled.generation.error_message == "Cancelled by user"
    assert again == cancelled
    assert provider.ledger.cancels == ["job-1"]


async def test_cancelling_a_finished_task_changes_nothing() -> None:
    """It comes back completed, byte for byte (I8)."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
        stored = await world.stored(job)
        assert await tts.cancel(job.task.id, owner=OWNER) == stored
        assert await world.stored(job) == stored


async def test_a_cancelled_task_stays_cancelled_whatever_the_provider_says_later() -> None:
    """A completed job at the provider is no reason to come back (I8)."""
    provider = FakeJobProvider(checks_until_ready=0)
    checking, go_on = paused_at(provider, "check")
    world = World(provider)
    async with world.running() as one, world.running() as two:
        job = await world.submitted(one)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: one.poll_once(job.task.id, owner=OWNER))
            await checking.wait()
            await two.cancel(job.task.id, owner=OWNER)
            go_on.set()
        assert (await one.poll_once(job.task.id, owner=OWNER)).task.status is Status.CANCELLED
    assert await world.blob_keys() == []


async def test_cancel_stops_a_direct_synthesis_in_this_process() -> None:
    """The provider's call is cancelled at once, not left to run."""
    provider = FakeDirectProvider()
    submitting, _ = paused_at(provider, "submit")
    world = World(provider)
    async with world.running(background=True) as tts:
        job = await world.submitted(tts)
        await submitting.wait()
        cancelled = await tts.cancel(job.task.id, owner=OWNER)
        with anyio.fail_after(1):
            while provider.ledger.in_flight:
                await anyio.lowlevel.checkpoint()
        assert cancelled.task.status is Status.CANCELLED
    assert (await world.stored(job)).task.status is Status.CANCELLED


async def test_a_waiting_poll_of_a_cancelled_synthesis_learns_of_it() -> None:
    """The poll that ran it comes back with the truth."""
    provider = FakeDirectProvider()
    submitting, _ = paused_at(provider, "submit")
    world = World(provider)
    seen = []
    async with world.running() as tts:
        job = await world.submitted(tts)

        async def poll() -> None:
            seen.append(await tts.poll_once(job.task.id, owner=OWNER))

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await submitting.wait()
            await tts.cancel(job.task.id, owner=OWNER)
    assert [each.task.status for each in seen] == [Status.CANCELLED]


async def test_a_job_accepted_after_the_cancel_is_cancelled_at_the_provider() -> None:
    """The submit in flight is not cut off: its answer tells what to cancel (F11)."""
    provider = FakeJobProvider()
    submitting, go_on = paused_at(provider, "submit")
    world = World(provider)
    async with world.running() as tts, anyio.create_task_group() as group:
        group.start_soon(lambda: world.submitted(tts))
        await submitting.wait()
        (job,) = await tts.list_tasks(owner=OWNER)
        cancelled = await tts.cancel(job.task.id, owner=OWNER)
        assert cancelled.task.outcome_open
        go_on.set()
    after = await world.stored(job)
    assert (after.task.status, after.task.ticket) == (Status.CANCELLED, {"id": "job-1"})
    assert (after.task.cancel_owed, after.task.outcome_open) == (False, False)
    assert provider.ledger.cancels == ["job-1"]


async def test_a_late_ticket_of_a_deleted_task_is_not_forgotten() -> None:
    """Its owner sees nothing any more; the provider is told all the same."""
    provider = FakeJobProvider()
    submitting, go_on = paused_at(provider, "submit")
    world = World(provider)
    async with world.running() as tts, anyio.create_task_group() as group:
        group.start_soon(lambda: world.submitted(tts))
        await submitting.wait()
        (job,) = await tts.list_tasks(owner=OWNER)
        await tts.delete_task(job.task.id, owner=OWNER)
        go_on.set()
    assert provider.ledger.cancels == ["job-1"]
    assert (await world.stored(job)).task.ticket == {"id": "job-1"}


async def test_an_owed_cancel_is_tried_again_by_the_sweep_and_given_up_in_the_end() -> None:
    """The row is cancelled from the start; the debt has a bounded number of tries."""
    provider = FakeJobProvider()
    provider.script.cancel.extend(ProviderUnavailable() for _ in range(99))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        cancelled = await tts.cancel(job.task.id, owner=OWNER)
        assert (cancelled.task.status, cancelled.task.cancel_owed) == (Status.CANCELLED, True)
        for _ in range(20):
            world.clock.advance(120)
            await tts.sweep_once()
        after = await world.stored(job)
    assert (after.task.cancel_owed, after.task.next_action_at) == (False, None)
    assert len(provider.ledger.cancels) == POLICY.max_cancel_attempts


async def test_an_owed_cancel_that_succeeds_later_is_settled() -> None:
    """The sweep pays the debt once."""
    provider = FakeJobProvider()
    provider.script.cancel.append(ProviderUnavailable())
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.cancel(job.task.id, owner=OWNER)
        for _ in range(3):
            world.clock.advance(60)
            await tts.sweep_once()
    assert len(provider.ledger.cancels) == 2
    assert not (await world.stored(job)).task.cancel_owed


async def test_cancel_wins_over_a_stream_of_other_changes() -> None:
    """It is tried again on every new truth for as long as there is something to cancel."""
    provider = FakeJobProvider(checks_until_ready=100, words=tuple(f"w{n}" for n in range(100)))
    world = World(provider)
    async with world.running() as tts, world.running() as other:
        job = await world.submitted(tts)
        async with anyio.create_task_group() as group:

            async def poll() -> None:
                for _ in range(30):
                    await other.poll_once(job.task.id, owner=OWNER)

            group.start_soon(poll)
            cancelled = await tts.cancel(job.task.id, owner=OWNER)
    assert cancelled.task.status is Status.CANCELLED


async def test_a_row_that_changes_faster_than_we_can_write_is_an_error_not_a_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lost races are bounded too."""
    world = World(FakeJobProvider())

    async def always_lost(*args: object, **kwargs: object) -> bool:
        return False

    async with world.running() as tts:
        job = await world.submitted(tts)
        monkeypatch.setattr(world.tasks, "replace", always_lost)
        with pytest.raises(StorageUnavailable) as caught:
            await tts.cancel(job.task.id, owner=OWNER)
    assert caught.value.code == "too_contended"


async def test_a_sweep_finishes_what_nobody_polls() -> None:
    """Job and direct providers alike; an idle sweep finds nothing."""
    for provider in (FakeJobProvider(checks_until_ready=2), FakeDirectProvider()):
        world = World(provider)
        async with world.running() as tts:
            job = await world.submitted(tts)
            for _ in range(4):
                await tts.sweep_once()
                world.clock.advance(60)
            assert completed(await world.stored(job))
            assert await tts.sweep_once() == SweepReport(stepped=0, failed=0)
            assert (await world.stored(job)).task.poll_count == 0


async def test_one_bad_task_does_not_stop_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its failure is reported, the others go on."""
    world = World(FakeDirectProvider())
    original = world.tasks.claim
    failures = [StorageUnavailable()]

    async def claim(
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        lease_seconds: float,
        sends: bool = False,
    ) -> Task | None:
        if failures:
            raise failures.pop()
        return await original(
            task,
            generation,
            expected_version=expected_version,
            lease_seconds=lease_seconds,
            sends=sends,
        )

    monkeypatch.setattr(world.tasks, "claim", claim)
    async with world.running() as tts:
        jobs = [await world.submitted(tts) for _ in range(3)]
        assert await tts.sweep_once() == SweepReport(stepped=3, failed=1)
        ends = [completed(await world.stored(job)) for job in jobs]
    assert sorted(ends) == [False, True, True]


async def test_two_sweepers_share_the_work() -> None:
    """Each due task is made once."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running() as one, world.running() as two:
        for _ in range(20):
            await world.submitted(one)
        async with anyio.create_task_group() as group:
            group.start_soon(one.sweep_once)
            group.start_soon(two.sweep_once)
    assert provider.ledger.submits == 20


async def test_a_sweep_steps_the_rows_that_it_has_just_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them is read a second time."""
    provider = FakeJobProvider(checks_until_ready=9)
    world = World(provider)

    async def get(owner: str, task_id: str, *, include_deleted: bool = False) -> None:
        raise AssertionError("a row was read again")

    async with world.running() as tts:
        for _ in range(3):
            await world.submitted(tts)
        world.clock.advance(60)
        monkeypatch.setattr(world.tasks, "get", get)
        assert await tts.sweep_once() == SweepReport(stepped=3, failed=0)
    assert provider.ledger.checks == 3


async def test_a_row_whose_turn_took_long_to_come_is_read_again() -> None:
    """Another process may have ended its task by then: its provider isn't asked for nothing."""
    provider = FakeJobProvider(checks_until_ready=9)
    world = World(provider, policy=replace(POLICY, sweep_concurrency=1))
    checking, go_on = paused_at(provider, "check")
    async with world.running() as tts, world.running() as other:
        jobs = [await world.submitted(tts) for _ in range(2)]
        world.clock.advance(60)
        async with anyio.create_task_group() as group:
            group.start_soon(tts.sweep_once)
            await checking.wait()
            for job in jobs:
                await other.cancel(job.task.id, owner=OWNER)
            world.clock.advance(2)
            go_on.set()
    assert provider.ledger.checks == 1


async def test_direct_work_is_bounded_and_the_bound_is_used() -> None:
    """Never more at once than the policy's concurrency, and never fewer while there is work (I16)."""
    provider = FakeDirectProvider()
    world = World(provider, policy=replace(POLICY, concurrency=3))
    together, left = anyio.Event(), anyio.Event()
    ended = []

    def pause(call: str) -> anyio.Event | None:
        if provider.ledger.in_flight == 3:
            together.set()
        return together

    provider.script.pause = pause

    async def listen(transition: Transition) -> None:
        if transition.job.task.status.terminal:
            ended.append(transition.job.task.id)
            if len(ended) == 20:
                left.set()

    async with world.running(background=True, listeners=(listen,)) as tts:
        for _ in range(20):
            await world.submitted(tts)
        await left.wait()
    assert (provider.ledger.most_in_flight, provider.ledger.in_flight) == (3, 0)
    assert provider.ledger.submits == 20


async def test_the_background_sweep_survives_a_database_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next round finds what this one could not read."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider, policy=replace(POLICY, sweep_interval=0.01))
    original = world.tasks.claim_due
    failures = [StorageUnavailable()]
    ended = anyio.Event()

    async def claim_due(*, limit: int, hold_seconds: float) -> object:
        if failures:
            raise failures.pop()
        return await original(limit=limit, hold_seconds=hold_seconds)

    async def listen(transition: Transition) -> None:
        if transition.job.task.status.terminal:
            ended.set()

    monkeypatch.setattr(world.tasks, "claim_due", claim_due)
    async with world.running(background=True, listeners=(listen,)) as tts:
        job = await world.submitted(tts)
        world.clock.advance(60)
        await ended.wait()
        assert completed(await tts.get(job.task.id, owner=OWNER))
    assert not failures


async def test_a_step_needs_no_poll() -> None:
    """A queue worker's tick counts nothing and finishes the task all the same."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.step(job.task.id, owner=OWNER)
        assert completed(job)
        assert job.task.poll_count == 0
        assert completed(await tts.step(job.task.id, owner=OWNER))


async def test_a_defect_in_the_background_does_not_take_the_process_with_it() -> None:
    """It is logged, and the next task is made."""
    provider = FakeDirectProvider()
    provider.script.submit.append(KeyError("a defect"))
    world = World(provider)
    ended = anyio.Event()

    async def listen(transition: Transition) -> None:
        if transition.job.task.status.terminal:
            ended.set()

    async with world.running(background=True, listeners=(listen,)) as tts:
        await world.submitted(tts)
        good = await world.submitted(tts)
        await ended.wait()
        assert completed(await tts.get(good.task.id, owner=OWNER))


async def test_an_unknown_task_is_not_found() -> None:
    """Any string at all may come as an id."""
    async with World(FakeJobProvider()).running() as tts:
        for task_id in ("", "nonsense", "😀", "a" * 5000):
            with pytest.raises(NotFound):
                await tts.poll_once(task_id, owner=OWNER)


async def test_an_orchestrator_can_be_used_again_after_it_was_closed() -> None:
    """A second `async with` starts afresh."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await world.submitted(tts)
    with pytest.raises(InternalError):
        await tts.step(job.task.id, owner=OWNER)
    async with tts:
        assert completed(await tts.step(job.task.id, owner=OWNER))
    assert job.task.phase is Phase.RUNNING
