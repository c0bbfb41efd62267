"""Unknown outcomes, crashes, leases and late answers: what is never paid twice, and never lost."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest

from tests.orchestrator.world import (
    OWNER,
    POLICY,
    World,
    completed,
    crashing,
    paused_at,
    polled_to_the_end,
)
from ttsorch import states
from ttsorch.errors import (
    Category,
    NotReady,
    ProviderUnavailable,
    ResultExpired,
    StorageUnavailable,
)
from ttsorch.models import BlobInfo, Job, OnUnknown, Phase, Status
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

LEASE = POLICY.lease
GRACE = POLICY.unknown_grace


def unavailable() -> StorageUnavailable:
    return StorageUnavailable(detail="injected")


async def _unavailable(*args: object, **kwargs: object) -> None:
    raise unavailable()


class Flaky:
    """Makes one method of a store fail for its next calls."""

    def __init__(self, target: object, method: str, *failures: Exception | None) -> None:
        original = getattr(target, method)
        due = list(failures)

        async def call(*args: object, **kwargs: object) -> object:
            if due and (failure := due.pop(0)):
                raise failure
            return await original(*args, **kwargs)

        setattr(target, method, call)


# --- the submit outcome -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FakeJobProvider, FakeDirectProvider])
async def test_a_submit_without_an_answer_is_never_sent_again(
    kind: type[FakeJobProvider] | type[FakeDirectProvider],
) -> None:
    """The task says so, waits for its grace period, and fails as a timeout of unknown outcome."""
    provider = kind()
    provider.script.submit_reply_lost.append(lost_reply())
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert (job.task.phase, states.provider_status(job.task)) == (
            Phase.SUBMIT_UNKNOWN,
            "unknown",
        )
        assert [each.task.id for each in await world.tasks.list_unknown()] == [job.task.id]
        world.clock.advance(GRACE / 2)
        assert not (await tts.poll_once(job.task.id, owner=OWNER)).task.status.terminal
        world.clock.advance(GRACE)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.category, job.task.error.code) == (
        Status.FAILED,
        Category.TIMEOUT,
        "submission_outcome_unknown",
    )
    assert provider.ledger.submits == 1
    assert job.task.outcome_open


@pytest.mark.parametrize("kind", [FakeJobProvider, FakeDirectProvider])
async def test_a_host_may_choose_to_ask_again(
    kind: type[FakeJobProvider] | type[FakeDirectProvider],
) -> None:
    """With on_unknown="resubmit" the second attempt completes, and is counted as what it is."""
    provider = kind()
    provider.script.submit_reply_lost.append(lost_reply())
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
    assert completed(job)
    assert (job.task.resubmits, provider.ledger.submits) == (1, 2)


async def test_resubmits_end() -> None:
    """A provider that never answers isn't asked for ever."""
    provider = FakeDirectProvider(on_unknown=OnUnknown.RESUBMIT)
    provider.script.submit_reply_lost.extend(lost_reply() for _ in range(20))
    world = World(provider, policy=replace(POLICY, max_resubmits=3))
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert (job.task.status, provider.ledger.submits) == (Status.FAILED, 4)
    assert job.task.outcome_open


async def test_a_submitter_that_died_leaves_an_unknown_outcome() -> None:
    """Nobody can tell whether its call went out: after the lease, the task says so."""
    provider = FakeJobProvider()
    world = World(provider)
    plan = FaultPlan(Fault.CRASH, at=2)
    async with crashing(), world.running(plan=plan) as tts:
        await world.submitted(tts)
    assert plan.broken == "submit"
    async with world.running() as tts:
        (job,) = await tts.list_tasks(owner=OWNER)
        assert (await tts.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.SUBMITTING
        world.clock.advance(LEASE + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.phase is Phase.SUBMIT_UNKNOWN
    assert provider.ledger.submits == 0


async def test_a_ticket_survives_a_database_that_is_away_for_a_moment() -> None:
    """The commit after a paid call is tried again."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        Flaky(world.tasks, "replace", unavailable(), unavailable())
        job = await world.submitted(tts)
    assert job.task.ticket == {"id": "job-1"}


async def test_a_commit_whose_reply_was_lost_is_recognised() -> None:
    """Repeating it changes nothing: the row already says what we wanted to write."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running(plan=FaultPlan(Fault.REPLY_LOST, at=3)) as tts:
        job = await world.submitted(tts)
    assert job.task.phase is Phase.RUNNING
    assert (await world.stored(job)).task.version == job.task.version


async def test_a_database_that_stays_away_leaves_the_task_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller is told; the row is as it was, and the accepted job shows up as unknown."""
    provider = FakeJobProvider()
    world = World(provider, policy=replace(POLICY, insist=0.05))
    async with world.running() as tts:
        with monkeypatch.context() as patch:
            patch.setattr(world.tasks, "replace", _unavailable)
            with pytest.raises(StorageUnavailable):
                await world.submitted(tts)
        world.clock.advance(LEASE + 1)
        await tts.sweep_once()
        unknown = await world.tasks.list_unknown()
    assert [job.task.phase for job in unknown] == [Phase.SUBMIT_UNKNOWN]
    assert provider.ledger.accepted_for(unknown[0].task.id) == 1


async def test_a_commit_that_hangs_is_given_up_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stuck database doesn't take the step with it for ever."""
    world = World(FakeJobProvider(), policy=replace(POLICY, insist=0.02))

    async def hang(*args: object, **kwargs: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(world.tasks, "replace", hang)
    async with world.running() as tts:
        with pytest.raises(StorageUnavailable):
            await world.submitted(tts)


async def test_an_answer_that_comes_after_the_task_was_given_up_is_still_used() -> None:
    """A submitter that was thought dead brings the ticket: the task goes on with it."""
    provider = FakeJobProvider()
    submitting, go_on = paused_at(provider, "submit")
    world = World(provider)
    async with world.running() as slow, world.running() as quick:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: world.submitted(slow))
            await submitting.wait()
            (job,) = await quick.list_tasks(owner=OWNER)
            world.clock.advance(LEASE + 1)
            job = await quick.poll_once(job.task.id, owner=OWNER)
            assert job.task.phase is Phase.SUBMIT_UNKNOWN
            go_on.set()
        job = await world.stored(job)
    assert (job.task.phase, job.task.ticket) == (Phase.RUNNING, {"id": "job-1"})
    assert not job.task.outcome_open


async def test_a_second_accepted_job_of_one_task_is_cancelled_at_the_provider() -> None:
    """After a resubmit, both answers come: one is followed, the other one is told to stop."""
    provider = FakeJobProvider()
    first_in, go_on = anyio.Event(), anyio.Event()
    waits = [go_on]

    def pause(call: str) -> anyio.Event | None:
        if call == "submit" and waits:
            first_in.set()
            return waits.pop()
        return None

    provider.script.pause = pause
    world = World(provider)
    async with (
        world.running(on_unknown=OnUnknown.RESUBMIT) as slow,
        world.running(on_unknown=OnUnknown.RESUBMIT) as quick,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: world.submitted(slow))
            await first_in.wait()
            (job,) = await quick.list_tasks(owner=OWNER)
            world.clock.advance(LEASE + 1)
            job = await quick.poll_once(job.task.id, owner=OWNER)
            assert job.task.ticket == {"id": "job-1"}
            go_on.set()
        job = await world.stored(job)
    assert (job.task.phase, job.task.ticket) == (Phase.RUNNING, {"id": "job-1"})
    assert provider.ledger.cancels == ["job-2"]


async def test_a_resubmit_lost_to_somebody_else_starts_nothing() -> None:
    """Two sweepers resolve the same unknown outcome: one attempt is made."""
    provider = FakeDirectProvider(on_unknown=OnUnknown.RESUBMIT)
    world = World(provider)
    async with world.running() as one, world.running() as two:
        job = await world.submitted(one)
        lost = states.advance(job.task, states.SubmitStarted("w"), world.clock())
        claimed = await world.tasks.claim(
            lost, job.generation, expected_version=job.task.version, lease_seconds=1
        )
        assert claimed is not None
        world.clock.advance(2)
        async with anyio.create_task_group() as group:
            for tts in (one, two):
                group.start_soon(partial(tts.step, job.task.id, owner=OWNER))
        job = await polled_to_the_end(one, job)
    assert completed(job)
    assert provider.ledger.submits == 1


async def test_a_shutdown_hands_an_unfinished_submit_over_at_once() -> None:
    """The next process needn't wait for the lease of one that left in good order."""
    provider = FakeDirectProvider(on_unknown=OnUnknown.RESUBMIT)
    submitting, _ = paused_at(provider, "submit")
    world = World(provider)
    async with world.running(background=True) as tts:
        job = await world.submitted(tts)
        await submitting.wait()
    left = await world.stored(job)
    assert (left.task.phase, left.task.lease_until) == (Phase.SUBMIT_UNKNOWN, None)
    provider.script.pause = lambda _call: None
    async with world.running() as tts:
        await tts.sweep_once()
    assert completed(await world.stored(job))


async def test_a_shutdown_lets_a_step_that_is_almost_done_land() -> None:
    """Within the grace time nothing is cut off."""
    provider = FakeDirectProvider()
    submitting, go_on = paused_at(provider, "submit")
    world = World(provider, policy=replace(POLICY, shutdown_grace=5))
    async with anyio.create_task_group() as group, world.running(background=True) as tts:
        job = await world.submitted(tts)
        await submitting.wait()
        group.start_soon(_set_after_checkpoints, go_on)
    assert completed(await world.stored(job))


async def _set_after_checkpoints(event: anyio.Event) -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    event.set()


# --- leases -------------------------------------------------------------------------------------------


async def test_a_long_synthesis_keeps_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else takes a task over while its holder lives."""
    provider = FakeDirectProvider()
    submitting, go_on = paused_at(provider, "submit")
    renewed = anyio.Event()
    # Really waited for, so it is short; but no loaded machine stands still for two thirds of it.
    world = World(provider, policy=replace(POLICY, lease=0.6))
    original = world.tasks.renew

    async def renew(task_id: str, *, fence: int, lease_seconds: float) -> bool:
        world.clock.advance(0.4)
        held = await original(task_id, fence=fence, lease_seconds=lease_seconds)
        if world.clock() > job.task.created_at + timedelta(seconds=2):
            renewed.set()
        return held

    async with world.running(background=True) as tts:
        monkeypatch.setattr(world.tasks, "renew", renew)
        job = await world.submitted(tts)
        await submitting.wait()
        with anyio.fail_after(60):
            await renewed.wait()
        assert (await tts.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.SUBMITTING
        go_on.set()
        job = await polled_to_the_end(tts, job, polls=5000)
    assert completed(job)
    assert provider.ledger.submits == 1


async def test_a_live_lease_keeps_everybody_else_away() -> None:
    """A step by another worker changes nothing while the holder is at it."""
    provider = FakeJobProvider(checks_until_ready=0)
    submitting, go_on = anyio.Event(), anyio.Event()

    def pause(call: str) -> anyio.Event | None:
        submitting.set()
        return go_on if call in ("submit", "fetch") else None

    provider.script.pause = pause
    world = World(provider)
    async with world.running() as slow, world.running() as quick:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: world.submitted(slow))
            await submitting.wait()
            (job,) = await quick.list_tasks(owner=OWNER)
            before = await world.stored(job)
            assert await quick.step(job.task.id, owner=OWNER) == before
            assert await world.stored(job) == before
            go_on.set()
        assert completed(await polled_to_the_end(quick, job))
    assert provider.ledger.submits == 1


@pytest.mark.parametrize("trouble", ["lost", "unreachable"])
async def test_a_holder_stops_when_it_can_no_longer_be_sure_of_its_lease(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told that the lease is gone, or not told anything for two thirds of it, it stops by itself."""
    provider = FakeDirectProvider()
    paused_at(provider, "submit")
    world = World(provider, policy=replace(POLICY, lease=0.03))

    async def renew(*args: object, **kwargs: object) -> bool:
        if trouble == "unreachable":
            raise StorageUnavailable
        return False

    monkeypatch.setattr(world.tasks, "renew", renew)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert provider.ledger.in_flight == 0
    assert job.task.phase is Phase.SUBMIT_UNKNOWN


async def test_a_finalizer_that_lost_its_lease_publishes_nothing() -> None:
    """The one who took over wins; the late copy is thrown away (I4, I11)."""
    provider = FakeJobProvider(checks_until_ready=0)
    fetching, go_on = anyio.Event(), anyio.Event()
    waits = [go_on]

    def pause(call: str) -> anyio.Event | None:
        if call == "fetch" and waits:
            fetching.set()
            return waits.pop()
        return None

    provider.script.pause = pause
    world = World(provider)
    async with world.running() as slow, world.running() as quick:
        job = await world.submitted(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: slow.poll_once(job.task.id, owner=OWNER))
            await fetching.wait()
            world.clock.advance(LEASE + 1)
            winner = await polled_to_the_end(quick, job)
            go_on.set()
    after = await world.stored(job)
    assert after.task.audio == winner.task.audio
    assert after.task.audio is not None
    assert await world.blob_keys() == [after.task.audio.key]
    assert after.task.fence == 3


async def test_a_loser_that_cannot_clean_up_leaves_an_orphan_for_the_collector() -> None:
    """The collector takes what no row names, and only after the grace period (I17)."""
    provider = FakeJobProvider(checks_until_ready=0)
    fetching, go_on = paused_at(provider, "fetch")
    world = World(provider)
    async with world.running() as tts:
        other = await world.submitted(tts)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: tts.poll_once(other.task.id, owner=OWNER))
            await fetching.wait()
            await world.tasks.replace(
                states.advance(
                    (await world.stored(other)).task, states.DeadlinePassed(), world.clock()
                ),
                other.generation,
                expected_version=(await world.stored(other)).task.version,
            )
            Flaky(world.blobs, "delete", unavailable())
            go_on.set()
        kept = await polled_to_the_end(tts, await world.submitted(tts))
        assert kept.task.audio is not None
        assert len(await world.blob_keys()) == 2
        assert await tts.collect_orphans(dry_run=False) == []
        world.clock.advance(POLICY.orphan_grace)
        (orphan,) = await tts.collect_orphans()
        assert len(await world.blob_keys()) == 2
        assert await tts.collect_orphans(dry_run=False) == [orphan]
        assert await world.blob_keys() == [kept.task.audio.key]


async def test_orphans_are_looked_for_in_batches() -> None:
    """However many blobs there are, no statement names them all."""
    world = World(FakeJobProvider(), policy=replace(POLICY, sweep_batch=2))

    async def a_byte() -> AsyncIterator[bytes]:
        yield b"x"

    for number in range(5):
        key = f"{'0' * 32}/{number}/1.wav"
        await world.blobs.put(key, a_byte(), "audio/wav")
    world.clock.advance(POLICY.orphan_grace + 1)
    async with world.running() as tts:
        assert len(await tts.collect_orphans(dry_run=False)) == 5
    assert await world.blob_keys() == []


# --- finalize -----------------------------------------------------------------------------------------


async def crash_while_publishing(world: World, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A process that dies when the audio is uploaded, but not yet published."""
    plan = FaultPlan()
    original = world.blobs.put

    async def put(key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        done = await original(key, chunks, content_type)
        plan.dead = True
        return done

    with monkeypatch.context() as patch:
        patch.setattr(world.blobs, "put", put)
        async with crashing(), world.running(plan=plan) as tts:
            await polled_to_the_end(tts, await world.submitted(tts))
    (job,) = await world.tasks.list_tasks(OWNER)
    assert len(await world.blob_keys()) == 1
    return job


@pytest.mark.parametrize(
    "provider",
    [
        lambda: FakeJobProvider(checks_until_ready=0),
        lambda: FakeDirectProvider(fetchable=True),
        lambda: FakeDirectProvider(),
    ],
)
async def test_audio_that_was_uploaded_but_not_published_is_used(
    provider: Callable[[], FakeJobProvider | FakeDirectProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither paid for nor downloaded again; published under the key of who publishes."""
    fake = provider()
    world = World(fake)
    job = await crash_while_publishing(world, monkeypatch)
    assert job.task.phase is Phase.STORING
    fetched = fake.ledger.fetches
    async with world.running() as tts:
        assert (await tts.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.STORING
        world.clock.advance(LEASE + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert completed(job)
    assert (fake.ledger.submits, fake.ledger.fetches) == (1, fetched)
    assert job.task.audio is not None
    assert job.task.audio.key.endswith(f"/{job.task.fence}.wav")


@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_speech_that_died_with_its_holder_is_an_unknown_outcome(
    on_unknown: OnUnknown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was made and is gone: made again only if that was allowed."""
    provider = FakeDirectProvider(on_unknown=on_unknown)
    world = World(provider)
    job = await crash_while_publishing(world, monkeypatch)
    (key,) = await world.blob_keys()
    await world.blobs.delete(key)
    async with world.running() as tts:
        world.clock.advance(LEASE + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    if on_unknown is OnUnknown.RESUBMIT:
        assert completed(job)
        assert provider.ledger.submits == 2
    else:
        assert job.task.phase is Phase.SUBMIT_UNKNOWN
        assert provider.ledger.submits == 1


async def test_a_result_that_can_be_fetched_again_is_fetched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash in the middle of the download costs a second download, nothing else."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    job = await crash_while_publishing(world, monkeypatch)
    (key,) = await world.blob_keys()
    await world.blobs.delete(key)
    async with world.running() as tts:
        world.clock.advance(LEASE + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert completed(job)
    assert (provider.ledger.submits, provider.ledger.checks, provider.ledger.fetches) == (1, 1, 2)


async def test_two_who_recover_the_same_task_store_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim decides."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    job = await crash_while_publishing(world, monkeypatch)
    world.clock.advance(LEASE + 1)
    async with world.running() as one, world.running() as two, anyio.create_task_group() as group:
        for tts in (one, two):
            group.start_soon(partial(tts.step, job.task.id, owner=OWNER))
    after = await world.stored(job)
    assert completed(after)
    assert after.task.fence == job.task.fence + 1


async def test_two_who_finalize_the_same_task_store_it_once() -> None:
    """The claim decides here too."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.append(NotReady())
    world = World(provider)
    async with world.running() as one, world.running() as two:
        job = await world.submitted(one)
        job = await one.poll_once(job.task.id, owner=OWNER)
        assert job.task.phase is Phase.READY
        world.clock.advance(60)
        async with anyio.create_task_group() as group:
            for tts in (one, two):
                group.start_soon(partial(tts.step, job.task.id, owner=OWNER))
    assert provider.ledger.fetches == 2
    assert len(await world.blob_keys()) == 1


async def test_a_result_that_is_not_there_yet_is_tried_a_bounded_number_of_times() -> None:
    """The task shows ``finalizing``, waits longer each time, and fails in the end."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.extend(NotReady() for _ in range(99))
    world = World(provider)
    waits = []
    async with world.running() as tts:
        job = await world.submitted(tts)
        while not job.task.status.terminal:
            job = await tts.poll_once(job.task.id, owner=OWNER)
            if job.task.phase is Phase.READY:
                assert states.provider_status(job.task) == "finalizing"
                assert job.task.next_action_at is not None
                waits.append((job.task.next_action_at - world.clock()).total_seconds())
                world.clock.advance(waits[-1])
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "result_not_ready")
    assert provider.ledger.fetches == POLICY.max_finalize_attempts == len(waits) + 1
    assert waits == [1, 2, 4, 8, 16, 32, *[60] * 13]


@pytest.mark.parametrize("audio", [b"", b"<html>Not found</html>", b'{"detail": "busy"}'])
async def test_a_200_that_is_not_speech_is_never_stored(audio: bytes) -> None:
    """HTML, JSON and nothing are asked for three times, then the task fails; no blob appears."""
    provider = FakeJobProvider(checks_until_ready=0, audio=audio)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        while not job.task.status.terminal:
            job = await tts.poll_once(job.task.id, owner=OWNER)
            world.clock.advance(60)
    assert job.task.error is not None
    assert job.task.error.category is Category.PROVIDER_UNAVAILABLE
    assert provider.ledger.fetches == POLICY.max_bad_results == 6
    assert await world.blob_keys() == []


async def test_a_direct_answer_that_is_not_speech_fails_at_once() -> None:
    """There is nothing to fetch again."""
    world = World(FakeDirectProvider(audio=b"<html>", on_unknown=OnUnknown.RESUBMIT))
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
    assert job.task.error is not None
    assert job.task.error.code == "result_not_audio"


@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_speech_in_hand_that_cannot_be_stored_is_an_unknown_outcome(
    on_unknown: OnUnknown,
) -> None:
    """A full disk after a paid call: never simply failed, never silently paid again."""
    provider = FakeDirectProvider(on_unknown=on_unknown)
    world = World(provider)
    async with world.running() as tts:
        Flaky(world.blobs, "put", unavailable())
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        assert (job.task.phase, provider.ledger.submits) == (Phase.READY, 1)
        world.clock.advance(60)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    if on_unknown is OnUnknown.RESUBMIT:
        assert completed(job)
    else:
        assert job.task.error is not None
        assert (job.task.phase, job.task.error.code) == (
            Phase.SUBMIT_UNKNOWN,
            "storage_unavailable",
        )
        assert provider.ledger.submits == 1


async def test_speech_in_hand_that_cannot_be_opened_is_an_unknown_outcome() -> None:
    """It was paid for, and nobody can say where it is."""
    provider = FakeDirectProvider()
    provider.script.fetch.append(ProviderUnavailable())
    world = World(provider)
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert (job.task.phase, job.task.outcome_open) == (Phase.SUBMIT_UNKNOWN, True)


async def test_our_own_storage_may_be_away_for_as_long_as_the_task_has_time() -> None:
    """A full disk is no verdict on the task: it is tried again until the deadline."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        Flaky(world.blobs, "put", *(unavailable() for _ in range(20)))
        for _ in range(20):
            job = await tts.poll_once(job.task.id, owner=OWNER)
            assert job.task.phase is Phase.READY
            world.clock.advance(60)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert completed(job)


async def test_an_expired_result_is_asked_for_again_with_the_ticket() -> None:
    """A job provider gives a fresh URL; nothing is submitted again."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.append(ResultExpired())
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert (job.task.phase, job.task.envelope) == (Phase.RUNNING, None)
        waits = await tts.poll_once(job.task.id, owner=OWNER)
        assert (waits.task.phase, provider.ledger.checks) == (Phase.RUNNING, 1)
        world.clock.advance(60)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert completed(job)
    assert (provider.ledger.submits, provider.ledger.checks) == (1, 2)


async def test_a_result_that_stays_expired_fails_in_the_end() -> None:
    """A bounded number of fresh URLs."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.extend(ResultExpired() for _ in range(99))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        while not job.task.status.terminal:
            job = await tts.poll_once(job.task.id, owner=OWNER)
            world.clock.advance(60)
    assert job.task.error is not None
    assert job.task.error.code == "result_expired"


async def test_an_expired_result_of_a_direct_provider_is_gone() -> None:
    """There is no ticket to ask with."""
    provider = FakeDirectProvider(fetchable=True)
    provider.script.fetch.append(ResultExpired())
    world = World(provider)
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "result_expired")


async def test_a_task_cancelled_while_its_answer_was_on_the_way_stores_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bytes arrive, the row says cancelled, no upload is even begun (I8)."""
    provider = FakeDirectProvider()
    world = World(provider)
    opening, go_on = paused_at(provider, "fetch")
    monkeypatch.setattr(world.blobs, "put", None)
    async with world.running() as slow, world.running() as quick:
        job = await world.submitted(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: slow.poll_once(job.task.id, owner=OWNER))
            await opening.wait()
            await quick.cancel(job.task.id, owner=OWNER)
            go_on.set()
    assert (await world.stored(job)).task.status is Status.CANCELLED
    assert await world.blob_keys() == []


# --- deadlines ----------------------------------------------------------------------------------------


async def test_a_running_task_ends_at_its_deadline_and_the_provider_is_told() -> None:
    """No task stays active for ever, and no job is left working for nobody."""
    provider = FakeJobProvider(checks_until_ready=10**6)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        world.clock.advance(POLICY.finish_within + 10)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "finish_deadline_passed")
    assert provider.ledger.cancels == ["job-1"]
    assert provider.ledger.checks == 0


async def test_a_download_does_not_outlive_the_tasks_deadline() -> None:
    """The time that is left bounds the copy."""
    provider = FakeJobProvider(checks_until_ready=0)
    never = anyio.Event()
    provider.script.pause = lambda call: never if call == "fetch" else None
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        world.clock.advance((job.task.finish_by - world.clock()).total_seconds() - 0.01)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.phase is Phase.READY
    assert job.task.error is not None
    assert job.task.error.category is Category.TIMEOUT


async def test_tasks_of_a_provider_that_is_gone_still_end() -> None:
    """Nobody can ask for them any more, so their deadline ends them; their cancel is given up."""
    old, new = FakeJobProvider("old"), FakeJobProvider("new")
    world = World(old, policy=replace(POLICY, max_cancel_attempts=2))
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = new
    async with world.running() as tts:
        assert (await tts.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.RUNNING
        world.clock.advance(POLICY.finish_within + 10)
        await tts.sweep_once()
        assert (await world.stored(job)).task.cancel_owed
        for _ in range(2):
            world.clock.advance(3600)
            await tts.sweep_once()
    after = await world.stored(job)
    assert (after.task.status, after.task.cancel_owed) == (Status.FAILED, False)
    assert old.ledger.cancels == []


async def test_tasks_of_an_earlier_provider_finish_when_it_is_still_given() -> None:
    """A switch of provider leaves nothing behind."""
    old, new = FakeJobProvider("old", checks_until_ready=0), FakeDirectProvider("new")
    world = World(old)
    async with world.running() as tts:
        job = await world.submitted(tts)
    world.provider = new
    async with world.running(also=(old,)) as tts:
        assert completed(await polled_to_the_end(tts, job))


async def test_recovered_audio_is_the_audio_that_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Length and hash of the row are those of the blob (I3)."""
    provider = FakeJobProvider(checks_until_ready=0, audio=tone_wav(0.5))
    world = World(provider)
    job = await crash_while_publishing(world, monkeypatch)
    world.clock.advance(LEASE + 1)
    async with world.running() as tts:
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.audio is not None
    async with world.blobs.open(job.task.audio.key) as blob:
        stored = b"".join([chunk async for chunk in blob.chunks])
    assert stored == provider.audio
    assert job.task.audio.size == len(stored)


async def test_a_provider_that_is_away_while_fetching_costs_one_try() -> None:
    """And the task goes on at its own pace."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.append(ProviderUnavailable(retry_after=9))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.next_action_at == world.clock() + timedelta(seconds=9)
