"""A vendor that asks one worker for a wait is left alone by all of them, until then and no longer."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest

from tests.orchestrator.test_faults import recover
from tests.orchestrator.voices import previewed
from tests.orchestrator.world import (
    OWNER,
    POLICY,
    STRANGER,
    World,
    completed,
    crashing,
    polled_to_the_end,
)
from ttsorch.errors import (
    ProviderBusy,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    StorageUnavailable,
    ValidationError,
)
from ttsorch.models import Job, OnUnknown, Pause, Phase, Running, Status, Ticket
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.invariants import check_ledger, check_rows
from ttsorch.testing.speech import a_request

pytestmark = pytest.mark.anyio


def busy(seconds: float = 60.0) -> ProviderUnavailable:
    """A 429 with a Retry-After."""
    return ProviderUnavailable(code="rate_limited", detail="HTTP 429", retry_after=seconds)


async def refusal(world: World, tts: Orchestrator) -> ProviderBusy:
    """What a new submit is told while the provider is paused."""
    with pytest.raises(ProviderBusy) as refused:
        await world.submitted(tts)
    return refused.value


async def turned_away(world: World, tts: Orchestrator, seconds: float = 60.0) -> Job:
    """A job whose call the vendor answers with a wait."""
    script = world.provider.script  # type: ignore[attr-defined]
    script.submit.append(busy(seconds))
    job = await world.submitted(tts)
    return await tts.step(job.task.id, owner=OWNER)


# --- all workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "job"])
async def test_what_one_worker_is_told_stops_the_other(tmp_path: Path, direct: bool) -> None:
    """Two processes over one database: nothing is inserted or sent while the pause lasts; when it is over, by
    the database's clock, both go on."""
    clock = ManualClock()
    provider = FakeDirectProvider() if direct else FakeJobProvider()
    stores = [await SqliteTaskStore.open(tmp_path / "t.db", clock=clock) for _ in range(2)]
    here, there = [World(provider, clock=clock, store=store) for store in stores]
    async with here.running() as one, there.running() as other:
        told = await turned_away(here, one)
        assert told.task.status is (Status.PENDING if direct else Status.FAILED)
        clock.advance(20)
        refused = await refusal(there, other)
        assert (refused.code, refused.retry_after, refused.http_status) == (
            "provider_busy",
            40,
            429,
        )
        with pytest.raises(ProviderBusy):
            await other.submit(a_request(), owner=STRANGER)
        assert len(await there.tasks.list_tasks(OWNER)) == 1
        assert (await there.tasks.list_generations(OWNER)).total == 1
        assert (await there.tasks.list_tasks(STRANGER), provider.ledger.submits) == ([], 1)
        clock.advance(40)
        job = await polled_to_the_end(other, await there.submitted(other))
        if direct:
            await other.sweep_once()
            told = await here.stored(told)
    assert completed(job)
    assert completed(told) is direct
    for store in stores:
        await store.aclose()


async def test_a_pause_outlives_who_wrote_it(tmp_path: Path) -> None:
    """It is a row: a new process finds it, and it ends all the same."""
    clock, provider = ManualClock(), FakeJobProvider()
    store = await SqliteTaskStore.open(tmp_path / "t.db", clock=clock)
    world = World(provider, clock=clock, store=store)
    async with world.running() as tts:
        await turned_away(world, tts)
    await store.aclose()
    store = await SqliteTaskStore.open(tmp_path / "t.db", clock=clock)
    world = World(provider, clock=clock, store=store)
    async with world.running() as tts:
        assert (await refusal(world, tts)).retry_after == 60
        clock.advance(60)
        assert completed(await polled_to_the_end(tts, await world.submitted(tts)))
    await store.aclose()


async def test_a_repeated_key_is_answered_while_paused() -> None:
    """With the task that it made."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        job = await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
        await tts.pause_provider("fake", seconds=60)
        again = await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
    assert again.task.id == job.task.id


async def test_queued_tasks_wait_for_the_end_of_the_pause() -> None:
    """Polls and sweeps send none of them; then all come, not at one moment."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running() as tts:
        waiting = [await world.submitted(tts) for _ in range(8)]
        await turned_away(world, tts)
        for job in waiting:
            polled = await tts.poll_once(job.task.id, owner=OWNER)
            assert polled.task.phase is Phase.QUEUED
        assert (await tts.sweep_once()).stepped == 0
        times = {(await world.stored(job)).task.next_action_at for job in waiting}
        assert len(times) > 1
        assert provider.ledger.submits == 1
        world.clock.advance(63)
        await tts.sweep_once()
        assert all([completed(await world.stored(job)) for job in waiting])


async def test_what_runs_goes_on_while_paused() -> None:
    """Checks and downloads are no submits."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await turned_away(world, tts)
        assert completed(await polled_to_the_end(tts, job))


async def test_a_task_that_waits_for_a_pause_keeps_its_deadline() -> None:
    """It fails when it would have failed anyway, and says that it took too long."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.pause_provider("fake", seconds=10_000)
        await tts.sweep_once()
        world.clock.advance(POLICY.accept_within)
        await tts.sweep_once()
        ended = await world.stored(job)
    assert ended.task.error is not None
    assert (ended.task.status, ended.task.error.code) == (Status.FAILED, "accept_deadline_passed")


async def test_another_provider_is_not_paused() -> None:
    """Only the one whose vendor asked for it."""
    one, two = FakeJobProvider("one"), FakeJobProvider("two")
    world = World(one)
    async with world.running(also=(two,)) as tts:
        await turned_away(world, tts)
        await refusal(world, tts)
        job = await tts.using("two").submit(a_request("Hello.", "two"), owner=OWNER)
    assert job.task.phase is Phase.RUNNING


async def test_clones_and_designs_wait_too() -> None:
    """They are calls to the same vendor; a design that was queued is put off."""
    provider = FakeCastingProvider()
    world = World(provider)
    voice_id = "6e1d3c1a-0b5e-4a57-9d64-2f0b8a7c1d01"
    async with world.running() as tts:
        design = await previewed(tts)
        await tts.upload_clip(voice_id, provider.audio, owner=OWNER)
        await turned_away(world, tts)
        with pytest.raises(ProviderBusy):
            await previewed(tts)
        for _ in range(2):
            with pytest.raises(ProviderBusy) as refused:
                await tts.clone_voice(voice_id, name="Vera", owner=OWNER, transcript="Hi.")
        assert refused.value.retry_after == 60
        await tts.sweep_once()
        assert (await world.stored(design)).task.phase is Phase.QUEUED
        world.clock.advance(63)
        await tts.sweep_once()
        assert completed(await world.stored(design))
        await tts.clone_voice(voice_id, name="Vera", owner=OWNER, transcript="Hi.")


# --- what is a pause, and for how long ----------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable(),
        ProviderUnavailable(retry_after=0),
        ProviderUnavailable(retry_after=-5),
        ProviderRejected(retry_after=60),
        ProviderTimeout(retry_after=60, ambiguous=False),
        ProviderTimeout(retry_after=60),
        lost_reply(),
    ],
    ids=["no wait", "zero", "negative", "rejected", "timeout, not sent", "timeout", "lost"],
)
async def test_what_asks_for_no_wait_pauses_nobody(error: Exception) -> None:
    """Nor does a refusal that no wait can mend."""
    provider = FakeDirectProvider()
    provider.script.submit.append(error)
    world = World(provider)
    async with world.running() as tts:
        await tts.step((await world.submitted(tts)).task.id, owner=OWNER)
        assert await tts.list_pauses() == []


async def test_an_overloaded_vendor_pauses_though_nobody_knows_what_became_of_the_call() -> None:
    """A 503 with a wait: the call may have been accepted, and a resubmit waits like all others."""
    provider = FakeDirectProvider(on_unknown=OnUnknown.RESUBMIT)
    provider.script.submit.append(ProviderUnavailable(retry_after=30, ambiguous=True))
    world = World(provider)
    async with world.running() as tts:
        job = await tts.step((await world.submitted(tts)).task.id, owner=OWNER)
        assert (job.task.phase, job.task.resubmits, provider.ledger.submits) == (Phase.QUEUED, 1, 1)
        world.clock.advance(30)
        assert completed(await polled_to_the_end(tts, job))


async def test_a_mad_wait_is_cut() -> None:
    """A vendor's slip stops nobody for ever."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running() as tts:
        await turned_away(world, tts, 1e12)
        assert (await refusal(world, tts)).retry_after == POLICY.longest_pause
        world.clock.advance(POLICY.longest_pause)
        await world.submitted(tts)


async def test_a_later_answer_makes_a_pause_longer_and_never_shorter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Answers to calls that were under way together, in whatever order they come; it is logged."""
    provider = FakeDirectProvider()
    provider.script.submit.extend([busy(30), busy(90), busy(10)])
    world = World(provider, policy=replace(POLICY, concurrency=3))
    async with world.running() as tts:
        for _ in range(3):
            await world.submitted(tts)
        await tts.sweep_once()
        until = world.clock() + timedelta(seconds=90)
        assert await tts.list_pauses() == [Pause("fake", until, "rate_limited")]
    assert "fake is paused for 90 s: rate_limited (HTTP 429)" in caplog.text


async def test_operators_pause_and_end_pauses() -> None:
    """Before maintenance, and when they know better than the vendor."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        await tts.pause_provider("fake", seconds=60)
        (pause,) = await tts.list_pauses()
        assert pause.reason == "operator"
        await refusal(world, tts)
        assert await tts.end_pause("fake")
        assert not await tts.end_pause("fake")
        assert completed(await polled_to_the_end(tts, await world.submitted(tts)))


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 1e12, 1e300])
async def test_a_pause_needs_a_length(seconds: float) -> None:
    """Nothing is written otherwise."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        with pytest.raises(ValidationError):
            await tts.pause_provider("fake", seconds=seconds)
        assert await tts.list_pauses() == []


# --- a call that its caller waits for -----------------------------------------------------------------


async def test_a_short_wait_is_waited_for_and_told_to_all() -> None:
    """A job provider's submit is repeated when its own wait is over; others are refused meanwhile."""
    provider = FakeJobProvider()
    provider.script.submit.append(busy(0.05))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        assert (await refusal(world, tts)).retry_after == pytest.approx(0.05)
    assert (job.task.phase, provider.ledger.submits) == (Phase.RUNNING, 2)


@pytest.mark.parametrize("first", [True, False], ids=["lengthened", "longer before"])
async def test_a_repeated_call_waits_for_a_longer_pause_of_others(
    monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """It isn't sent, and its task says why."""
    provider = FakeJobProvider()
    provider.script.submit.append(busy(0.05))
    world = World(provider)
    original = world.tasks.pause_provider

    async def pause(name: str, *, seconds: float, reason: str) -> datetime | None:
        if first:
            until = await original(name, seconds=seconds, reason=reason)
            await original(name, seconds=600, reason="another")
            return until
        await original(name, seconds=600, reason="another")
        return await original(name, seconds=seconds, reason=reason)

    monkeypatch.setattr(world.tasks, "pause_provider", pause)
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "provider_busy")
    assert (job.task.error.retry_after, provider.ledger.submits) == (600, 1)


async def test_a_repeated_call_is_not_made_when_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether there is a pause is on a row that can't be read: certainly nothing was sent."""
    provider = FakeJobProvider()
    provider.script.submit.append(busy(0.01))
    world = World(provider)

    async def list_pauses() -> list[Pause]:
        raise StorageUnavailable(detail="away")

    monkeypatch.setattr(world.tasks, "list_pauses", list_pauses)
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert (job.task.status, provider.ledger.submits) == (Status.FAILED, 1)
    assert job.task.error is not None
    assert not job.task.error.ambiguous


async def test_a_pause_that_can_not_be_written_changes_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task waits as the vendor asked; the next one who is turned away tries again."""
    world = World(FakeDirectProvider())

    async def pause_provider(name: str, *, seconds: float, reason: str) -> datetime | None:
        raise StorageUnavailable(detail="away")

    monkeypatch.setattr(world.tasks, "pause_provider", pause_provider)
    async with world.running() as tts:
        job = await turned_away(world, tts)
        assert job.task.next_action_at == world.clock() + timedelta(seconds=60)
        await world.submitted(tts)
    assert "fake could not be paused: away" in caplog.text


async def test_a_pause_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that doesn't answer holds the step up for as long as a commit may take."""
    world = World(FakeDirectProvider(), policy=replace(POLICY, commit=0.05))

    async def pause_provider(name: str, *, seconds: float, reason: str) -> datetime | None:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(world.tasks, "pause_provider", pause_provider)
    async with world.running() as tts:
        with anyio.fail_after(5):
            job = await turned_away(world, tts)
    assert job.task.phase is Phase.QUEUED


# --- a check that is turned away ----------------------------------------------------------------------


async def test_a_check_that_is_turned_away_defers_that_task_only() -> None:
    """No poll and no sweep asks about it before the vendor's time; others are asked about and sent."""
    provider = FakeJobProvider(checks_until_ready=1)
    world = World(provider)
    async with world.running() as tts:
        job, other = [await world.submitted(tts) for _ in range(2)]
        provider.script.check.append(busy(60))
        polled = await tts.poll_once(job.task.id, owner=OWNER)
        assert polled.task.error is not None
        assert (polled.task.word, polled.task.error.code) == ("status_error", "rate_limited")
        world.clock.advance(30)
        checks = provider.ledger.checks
        waiting = await tts.poll_once(job.task.id, owner=OWNER)
        assert (waiting.task.word, provider.ledger.checks) == ("status_error", checks)
        assert await tts.list_pauses() == []
        assert completed(await polled_to_the_end(tts, other))
        await world.submitted(tts)
        world.clock.advance(30)
        polled = await tts.poll_once(job.task.id, owner=OWNER)
        assert polled.task.word == "running"
        assert completed(await polled_to_the_end(tts, job))


async def test_a_cancel_during_a_check_that_is_turned_away_is_shown() -> None:
    """The end that another worker wrote meanwhile, not that the provider can't be asked."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts, world.running() as other:
        job = await world.submitted(tts)
        provider.script.check.append(busy(60))
        begun, go_on = anyio.Event(), anyio.Event()

        def pause(call: str) -> anyio.Event | None:
            if call != "check":
                return None
            begun.set()
            return go_on

        provider.script.pause = pause
        seen: list[Job] = []

        async def poll() -> None:
            seen.append(await tts.poll_once(job.task.id, owner=OWNER))

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await begun.wait()
            await other.cancel(job.task.id, owner=OWNER)
            go_on.set()
    assert seen[0].task.status is Status.CANCELLED


# --- crashes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "job"])
async def test_a_crash_anywhere_around_a_pause_loses_nothing(direct: bool) -> None:
    """Break every call of a submit that is turned away: its task ends, is paid for once at most, and the
    provider isn't paused for longer than it was asked for."""
    for place in range(1, 60):
        provider = FakeDirectProvider() if direct else FakeJobProvider()
        provider.script.submit.append(busy(60))
        world, plan = World(provider), FaultPlan(Fault.CRASH, place)
        async with crashing(), world.running(plan=plan) as tts:
            job = await world.submitted(tts)
            await tts.step(job.task.id, owner=OWNER)
        await recover(world)
        assert await world.tasks.list_pauses() == []
        for job in await world.tasks.list_tasks(OWNER):
            assert job.task.status.terminal
            check_rows(job)
            check_ledger(job, provider)
        if not plan.struck:
            break
    assert not plan.struck
    assert place > 4


# --- waits that are none ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -5.0])
async def test_a_wait_that_is_none_is_answered_with_our_own(seconds: float) -> None:
    """A host's adapter may name nonsense: no pause begins, and the task is tried again as if it had named
    nothing."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        job = await turned_away(world, tts, seconds)
        assert job.task.phase is Phase.QUEUED
        assert job.task.next_action_at is not None
        wait = (job.task.next_action_at - world.clock()).total_seconds()
        assert wait == POLICY.submit_backoff
        assert await world.tasks.list_pauses() == []
        world.clock.advance(wait)
        assert completed(await polled_to_the_end(tts, job))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -5.0])
async def test_a_job_is_checked_as_often_as_ever_where_a_wait_is_none(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of the moment that a provider names for the next check."""
    world = World(FakeJobProvider())

    async def check(ticket: Ticket) -> Running:
        return Running("odd", check_after=seconds)

    monkeypatch.setattr(world.provider, "check", check)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.step(job.task.id, owner=OWNER)
        assert (job.task.phase, job.task.word) == (Phase.RUNNING, "odd")
        assert job.task.next_action_at is not None
        wait = (job.task.next_action_at - world.clock()).total_seconds()
        assert wait == POLICY.check_interval
