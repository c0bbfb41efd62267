"""Vendors that are away for minutes, debts that only another process can pay, and what operators read."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import anyio
import pytest

from tests.orchestrator.voices import previewed
from tests.orchestrator.world import OWNER, POLICY, World, completed, paused_at
from ttsorch import states
from ttsorch.contract.statuses import task_status
from ttsorch.errors import (
    CorruptResult,
    NotReady,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
)
from ttsorch.models import Job, OnUnknown, Phase, Status
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply

pytestmark = pytest.mark.anyio


async def swept_to_the_end(world: World, tts: Orchestrator, job: Job, *, every: float) -> Job:
    """As when nobody polls."""
    while not job.task.status.terminal:
        world.clock.advance(every)
        await tts.sweep_once()
        job = await world.stored(job)
    return job


# --- results that can't be had yet --------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [ProviderUnavailable, NotReady, partial(ProviderRejected, code="unauthorized")],
    ids=["away", "not ready", "token being rotated"],
)
async def test_a_result_host_may_be_away_for_minutes(trouble: Callable[[], ProviderError]) -> None:
    """What was paid for is fetched when it is back, without paying again."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        provider.script.fetch.extend(trouble() for _ in range(10))
        began = world.clock()
        job = await swept_to_the_end(world, tts, job, every=5)
    assert completed(job)
    assert (world.clock() - began).total_seconds() > 5 * 60
    assert provider.ledger.submits == 1


async def test_bad_speech_between_outages_does_not_get_more_tries() -> None:
    """A result that is no audio is given up by its sixth fetch, though an outage has as many as there
    are."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.extend([*(ProviderUnavailable() for _ in range(5)), CorruptResult()])
    world = World(provider)
    async with world.running() as tts:
        job = await swept_to_the_end(world, tts, await world.submitted(tts), every=60)
    assert (job.task.status, provider.ledger.fetches) == (Status.FAILED, POLICY.max_bad_results)


# --- submits that are turned away ---------------------------------------------------------------------


async def test_a_throttled_submit_waits_longer_each_time() -> None:
    """However short a wait the vendor asks for: it asks everybody for that."""
    provider = FakeDirectProvider()
    provider.script.submit.extend(ProviderUnavailable(retry_after=2.0) for _ in range(6))
    world = World(provider)
    waits = []
    async with world.running() as tts:
        job = await world.submitted(tts)
        for _ in range(6):
            job = await tts.poll_once(job.task.id, owner=OWNER)
            assert job.task.next_action_at is not None
            waits.append((job.task.next_action_at - world.clock()).total_seconds())
            world.clock.advance(waits[-1])
    assert waits == [2, 2, 4, 8, 16, 32]


async def test_a_wait_that_the_vendor_asks_for_is_kept_to() -> None:
    """Also when ours would be shorter."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ProviderUnavailable(retry_after=70.0))
    world = World(provider)
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert job.task.next_action_at is not None
    assert (job.task.next_action_at - world.clock()).total_seconds() == 70


async def test_a_task_that_is_turned_away_until_its_deadline_says_why() -> None:
    """Not that it took too long, but what somebody can do something about; and in a bounded number of
    calls."""
    provider = FakeDirectProvider()
    busy = ProviderUnavailable("Too many requests.", code="rate_limited", retry_after=1.0)
    provider.script.submit.extend([busy] * 1000)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await swept_to_the_end(world, tts, job, every=5)
    assert job.task.error is not None
    assert (job.task.error.code, job.task.error.message) == ("rate_limited", "Too many requests.")
    assert (world.clock() - job.task.created_at).total_seconds() <= POLICY.accept_within + 5
    assert provider.ledger.submits < 25


async def test_a_task_nobody_took_up_says_that_it_took_too_long() -> None:
    """There is nothing else to say, unless it was turned away and then forgotten: that is told."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ProviderUnavailable(code="rate_limited", detail="429"))
    world = World(provider)
    async with world.running() as tts:
        forgotten = await world.submitted(tts)
        turned_away = await world.submitted(tts)
        await tts.poll_once(turned_away.task.id, owner=OWNER)
        world.clock.advance(POLICY.accept_within)
        ended = [
            (await tts.poll_once(job.task.id, owner=OWNER)).task.error
            for job in (forgotten, turned_away)
        ]
    assert [error and error.code for error in ended] == ["accept_deadline_passed", "rate_limited"]
    assert ended[1] is not None
    assert ended[1].detail == "no attempt was accepted in time; last: 429"


# --- providers that this process doesn't know ---------------------------------------------------------


async def test_a_debt_waits_for_a_process_that_knows_the_provider() -> None:
    """In the middle of a switch of providers the new processes leave the old ones' cancels to them."""
    old, new = FakeJobProvider("old"), FakeJobProvider("new")
    world = World(old)
    async with world.running() as before:
        world.provider = new
        async with world.running() as after:
            world.provider = old
            job = await world.submitted(before)
            await after.cancel(job.task.id, owner=OWNER)
            for _ in range(20):
                world.clock.advance(60)
                await after.sweep_once()
            waiting = (await world.stored(job)).task
            assert (waiting.cancel_owed, waiting.cancel_attempts) == (True, 0)
            assert waiting.finish_by > world.clock()
            world.clock.advance(60)
            await before.sweep_once()
    assert old.ledger.cancels == ["job-1"]
    assert not (await world.stored(job)).task.cancel_owed


async def test_a_queued_task_of_a_provider_that_is_gone_can_be_cancelled() -> None:
    """Nobody here knows whether its call would be a long one; nothing was sent, so nothing is owed."""
    world = World(FakeDirectProvider("old"))
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = FakeJobProvider("new")
    async with world.running() as tts:
        await tts.sweep_once()
        cancelled = await tts.cancel(job.task.id, owner=OWNER)
    assert (cancelled.task.status, cancelled.task.cancel_owed) == (Status.CANCELLED, False)


async def test_a_debt_is_given_up_an_hour_after_its_deadline() -> None:
    """When no process knows the provider any more: everything ends."""
    old = FakeJobProvider("old")
    world = World(old)
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = FakeJobProvider("new")
    async with world.running() as tts:
        await tts.cancel(job.task.id, owner=OWNER)
        world.clock.advance((job.task.finish_by - world.clock()).total_seconds() + 3599)
        await tts.sweep_once()
        assert (await world.stored(job)).task.cancel_attempts == 0
        for _ in range(POLICY.max_cancel_attempts):
            world.clock.advance(120)
            await tts.sweep_once()
    assert not (await world.stored(job)).task.cancel_owed
    assert old.ledger.cancels == []


async def test_a_poll_says_that_the_provider_is_not_configured() -> None:
    """It can't be asked here: shown to this poll, stored nowhere."""
    old, new = FakeJobProvider("old"), FakeJobProvider("new")
    world = World(old)
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = new
    async with world.running() as tts:
        polled = await tts.poll_once(job.task.id, owner=OWNER)
    assert polled.task.error is not None
    assert (polled.task.word, polled.task.error.code) == ("status_error", "provider_not_configured")
    assert polled.task.status is Status.PROCESSING
    assert (await world.stored(job)).task.error is None


# --- designs ------------------------------------------------------------------------------------------


async def test_a_running_design_is_asked_about_while_others_are_being_made() -> None:
    """A check takes no slot of a synthesis, nor does a cancel that is owed."""
    provider = FakeDesigningJobProvider(checks_until_ready=0)
    world = World(provider, policy=replace(POLICY, concurrency=1))
    async with world.running() as tts:
        running, unwanted = [
            await tts.poll_once((await previewed(tts)).task.id, owner=OWNER) for _ in range(2)
        ]
        assert running.task.phase is Phase.RUNNING
        provider.script.cancel.append(ProviderUnavailable())
        await tts.cancel(unwanted.task.id, owner=OWNER)
        begun, go_on = paused_at(provider, "design")
        await previewed(tts)
        await previewed(tts)
        world.clock.advance(60)
        async with anyio.create_task_group() as group:
            group.start_soon(tts.sweep_once)
            await begun.wait()
            await anyio.wait_all_tasks_blocked()
            while_others_wait = [await world.stored(job) for job in (running, unwanted)]
            go_on.set()
    assert while_others_wait[0].task.status is Status.COMPLETED
    assert not while_others_wait[1].task.cancel_owed


async def test_the_status_of_a_design_never_goes_back() -> None:
    """Pending in its first answer; from its first poll or attempt on it is processing, also when it was
    turned away and waits again."""
    provider = FakeCastingProvider()
    provider.script.design.append(ProviderUnavailable(retry_after=60.0))
    begun, go_on = paused_at(provider, "design")
    world = World(provider)
    async with world.running() as tts, world.running() as other:
        job = await previewed(tts)
        seen = [task_status(job.task)]
        async with anyio.create_task_group() as group:
            group.start_soon(tts.sweep_once)
            await begun.wait()
            seen.append(task_status((await other.get(job.task.id, owner=OWNER)).task))
            go_on.set()
        after = await world.stored(job)
        assert (after.task.phase, after.task.poll_count) == (Phase.QUEUED, 0)
        seen.append(task_status(after.task))
    assert seen == [Status.PENDING, Status.PROCESSING, Status.PROCESSING]


async def test_a_polled_design_is_processing() -> None:
    """Though it still waits for its turn."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        job = await previewed(tts)
        await world.tasks.record_poll(OWNER, job.task.id)
        waiting = await world.stored(job)
    assert (waiting.task.phase, waiting.task.attempts) == (Phase.QUEUED, 0)
    assert task_status(waiting.task) is Status.PROCESSING


# --- what operators read ------------------------------------------------------------------------------


async def test_trouble_is_logged_once_when_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    """Put off, never answered, failed: with the code and the detail that clients are not told."""
    provider = FakeDirectProvider()
    provider.script.submit.extend(
        [
            ProviderUnavailable(code="busy", detail="429"),
            lost_reply(),
            ProviderRejected(code="refused", detail="policy 7"),
        ]
    )
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await world.submitted(tts)
        await tts.poll_once(job.task.id, owner=OWNER)
        world.clock.advance(60)
        await tts.poll_once(job.task.id, owner=OWNER)
    expected = [
        "will be tried again: busy (429)",
        "nobody knows yet whether it was accepted: provider_unavailable",
        "will be tried again: provider_unavailable",
        "failed: refused (policy 7)",
    ]
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(logged) == len(expected)
    for line, words in zip(logged, expected, strict=True):
        assert line.startswith(f"task {job.task.id} (fake): {words}")


async def test_an_end_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Though its row changes again when the provider was told of it."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        world.clock.advance((job.task.finish_by - world.clock()).total_seconds())
        await tts.poll_once(job.task.id, owner=OWNER)
        await tts.sweep_once()
    assert provider.ledger.cancels == ["job-1"]
    assert caplog.text.count("failed: finish_deadline_passed") == 1


async def test_what_the_user_did_or_what_went_well_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A cancel, a completion and a task that nobody could be told about are no trouble."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        await tts.cancel((await world.submitted(tts)).task.id, owner=OWNER)
        await swept_to_the_end(world, tts, await world.submitted(tts), every=60)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_an_outage_is_logged_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in half a minute for each provider, however many polls meet it."""
    one, two = FakeJobProvider("one"), FakeJobProvider("two")
    for provider in (one, two):
        provider.script.check.extend(ProviderUnavailable() for _ in range(20))
    world = World(one)
    seconds = [100.0]
    monkeypatch.setattr("ttsorch._steps.anyio.current_time", lambda: seconds[0])
    async with world.running() as other:
        theirs = await world.submitted(other)
        world.provider = two
        async with world.running(also=(one,)) as tts:
            ours = await world.submitted(tts)
            for pause in (0.0, 29.9, 0.1, 1.0):
                seconds[0] += pause
                for job in (theirs, ours, theirs):
                    await tts.poll_once(job.task.id, owner=OWNER)
    asked = [record.getMessage() for record in caplog.records if "can't be asked" in record.message]
    assert sorted(line.split()[0] for line in asked) == ["one", "one", "two", "two"]
    assert states.provider_status((await world.stored(ours)).task) == "provider_synthesizing"
