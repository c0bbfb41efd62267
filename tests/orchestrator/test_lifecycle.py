"""The main road: submit, poll, finalize, history; over job providers and direct ones."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from tests.orchestrator.world import (
    OWNER,
    POLICY,
    STRANGER,
    World,
    completed,
    paused_at,
    polled_to_the_end,
)
from ttsorch.errors import (
    ActiveJobLimit,
    Category,
    ConfigurationError,
    IdempotencyConflict,
    InternalError,
    NotFound,
    NotReady,
    ProviderRejected,
    ProviderUnavailable,
    ValidationError,
)
from ttsorch.models import (
    AudioStream,
    Envelope,
    ErrorInfo,
    Job,
    Limits,
    Phase,
    Policy,
    Ready,
    SpeechRequest,
    Status,
    Ticket,
    Transition,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import Provider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import a_request, a_voice

pytestmark = pytest.mark.anyio


async def test_a_job_providers_speech_ends_up_in_our_own_storage() -> None:
    """Submit, poll while it runs, poll once more: completed, with the audio stored under our key."""
    provider = FakeJobProvider(checks_until_ready=2)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        assert job.task.phase is Phase.RUNNING
        assert job.task.ticket == {"id": "job-1"}
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert (job.task.status, job.task.word) == (Status.PROCESSING, "running")
        job = await polled_to_the_end(tts, job)
    assert completed(job)
    assert job.generation is not None
    assert job.generation.audio == job.task.audio
    assert job.task.audio is not None
    assert job.task.audio.duration == pytest.approx(0.25)
    assert await world.blob_keys() == [job.task.audio.key]
    assert provider.ledger.submits == provider.ledger.fetches == 1


@pytest.mark.parametrize("fetchable", [True, False])
async def test_a_direct_task_finishes_without_anybody_polling(fetchable: bool) -> None:
    """Submit returns at once; the speech is made in the background, from an envelope or from bytes."""
    world = World(FakeDirectProvider(fetchable=fetchable))
    ended = anyio.Event()

    async def listen(transition: Transition) -> None:
        if transition.job.task.status.terminal:
            ended.set()

    async with world.running(background=True, listeners=(listen,)) as tts:
        job = await world.submitted(tts)
        assert job.task.phase is Phase.QUEUED
        await ended.wait()
    assert completed(await world.stored(job))


async def test_a_poll_of_a_task_that_waits_for_its_turn_comes_back_at_once() -> None:
    """It neither jumps the queue nor waits in it."""
    provider = FakeDirectProvider()
    go_on = anyio.Event()
    provider.script.pause = lambda _call: go_on
    world = World(provider, policy=replace(POLICY, concurrency=1, shutdown_grace=5))
    async with world.running(background=True) as tts:
        await world.submitted(tts)
        waiting = await world.submitted(tts)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(1):
            polled = await tts.poll_once(waiting.task.id, owner=OWNER)
        assert (polled.task.status, polled.task.poll_count) == (Status.PENDING, 1)
        assert provider.ledger.submits == 1
        go_on.set()


async def test_without_a_background_the_first_poll_makes_the_speech() -> None:
    """Where functions can't outlive their request, a poll does the work."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        assert provider.ledger.submits == 0
        assert completed(await tts.poll_once(job.task.id, owner=OWNER))
    assert provider.ledger.submits == 1


async def test_a_finished_task_is_read_without_asking_anybody() -> None:
    """A poll of a terminal task sends nothing and is not counted."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
        again = await tts.poll_once(job.task.id, owner=OWNER)
    assert provider.ledger.checks == 1
    assert again.task.poll_count == job.task.poll_count == 1


async def test_every_poll_of_an_active_task_is_counted_and_checks_once() -> None:
    """The poll count equals the polls answered while active; each sent one check (I9, I10)."""
    provider = FakeJobProvider(checks_until_ready=5)
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        counts = [(await tts.poll_once(job.task.id, owner=OWNER)).task.poll_count for _ in range(6)]
    assert counts == [1, 2, 3, 4, 5, 6]
    assert provider.ledger.checks == 6


async def test_a_new_word_is_stored_and_an_old_one_costs_no_write() -> None:
    """Only what changed is written."""
    provider = FakeJobProvider(checks_until_ready=4, words=("queued", "queued", "inference"))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        versions, elapsed = [], []
        for _ in range(3):
            job = await tts.poll_once(job.task.id, owner=OWNER)
            versions.append(job.task.version)
            elapsed.append(job.task.elapsed)
    assert versions[0] == versions[1] == versions[2] - 1
    assert elapsed == [1.0, 2.0, 3.0]
    assert (await world.stored(job)).task.word == "inference"


async def test_a_status_check_that_fails_changes_nothing() -> None:
    """ "Could not ask" is shown and forgotten: the task goes on (contract 4.2)."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.check.append(ProviderUnavailable())
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        troubled = await tts.poll_once(job.task.id, owner=OWNER)
        assert troubled.task.status is Status.PROCESSING
        assert troubled.task.word == "status_error"
        assert troubled.task.error is not None
        assert troubled.task.error.message == ProviderUnavailable.default_message
        stored = await world.stored(job)
        assert (stored.task.error, stored.task.version) == (None, job.task.version)
        assert completed(await tts.poll_once(job.task.id, owner=OWNER))


async def test_a_check_that_hangs_is_given_up_and_changes_nothing() -> None:
    """No poll waits longer than the policy's time for a provider call."""
    provider = FakeJobProvider()
    never = anyio.Event()
    provider.script.pause = lambda call: never if call == "check" else None
    world = World(provider, policy=replace(POLICY, provider_call=0.01))
    async with world.running() as tts:
        job = await world.submitted(tts)
        hung = await tts.poll_once(job.task.id, owner=OWNER)
    assert hung.task.error is not None
    assert hung.task.error.category is Category.TIMEOUT
    assert (await world.stored(job)).task.phase is Phase.RUNNING


async def test_a_job_that_failed_at_the_provider_fails_here() -> None:
    """With the provider's error, in task and history alike."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        provider.jobs["job-1"].failure = ErrorInfo(
            Category.PROVIDER_REJECTED, "moderated", "The text was refused."
        )
        failed = await tts.poll_once(job.task.id, owner=OWNER)
    assert (failed.task.status, failed.task.cancel_owed) == (Status.FAILED, False)
    assert failed.generation is not None
    assert failed.generation.error_message == "The text was refused."


@pytest.mark.parametrize("kind", [FakeJobProvider, FakeDirectProvider])
async def test_a_refused_submit_is_a_failed_task_not_an_exception(
    kind: type[FakeJobProvider] | type[FakeDirectProvider],
) -> None:
    """The rows tell what happened, for good."""
    provider = kind()
    provider.script.submit.append(ProviderRejected("The text was refused.", code="moderated"))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await polled_to_the_end(tts, job)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "moderated")
    assert not job.task.outcome_open


async def test_a_request_that_only_the_provider_can_judge_fails_the_task() -> None:
    """A ValidationError out of submit is a verdict, not a defect."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ValidationError("Pitch is out of range.", code="param_invalid"))
    world = World(provider)
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
    assert job.task.error is not None
    assert (job.task.error.category, job.task.error.code) == (Category.VALIDATION, "param_invalid")


async def test_a_busy_job_provider_is_asked_again_before_the_task_fails() -> None:
    """Twice more, quickly; then the task fails as unavailable."""
    provider = FakeJobProvider()
    provider.script.submit.extend([ProviderUnavailable(retry_after=0) for _ in range(3)])
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert provider.ledger.submits == 3
    assert (job.task.status, provider.ledger.accepted) == (Status.FAILED, [])


async def test_an_outage_is_not_answered_with_a_storm_of_retries() -> None:
    """All tasks of a provider share one budget for second tries."""
    provider = FakeJobProvider()
    provider.script.submit.extend(ProviderUnavailable(retry_after=0) for _ in range(300))
    world = World(provider)
    async with world.running() as tts:
        for _ in range(50):
            await world.submitted(tts)
    assert provider.ledger.submits < 50 * 3 * 0.6


async def test_a_busy_direct_provider_gets_the_task_again_later() -> None:
    """The task waits in the queue as long as the provider asked for, then is made."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ProviderUnavailable(retry_after=7))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.phase is Phase.QUEUED
        assert job.task.next_action_at is not None
        assert (job.task.next_action_at - world.clock()).total_seconds() == 7
        world.clock.advance(8)
        assert (await tts.sweep_once()).stepped == 1
    assert completed(await world.stored(job))


async def test_polls_respect_the_wait_that_a_busy_direct_provider_asked_for() -> None:
    """However often a client polls, the next attempt waits for its time."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ProviderUnavailable(retry_after=60))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        for _ in range(5):
            assert (await tts.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.QUEUED
        assert provider.ledger.submits == 1
        world.clock.advance(61)
        assert completed(await tts.poll_once(job.task.id, owner=OWNER))


async def test_a_defect_in_an_adapter_is_an_unknown_outcome() -> None:
    """An unexpected exception out of a paid call says nothing about the bill."""
    provider = FakeDirectProvider()
    provider.script.submit.append(KeyError("oops"))
    world = World(provider)
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.phase, job.task.error.code) == (Phase.SUBMIT_UNKNOWN, "adapter_defect")
    assert job.task.outcome_open


async def test_a_defect_of_ours_is_ours_to_answer_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception becomes InternalError, with the cause chained; the task stays."""
    world = World(FakeDirectProvider())

    async def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(world.tasks, "claim", broken)
    async with world.running() as tts:
        job = await world.submitted(tts)
        with pytest.raises(InternalError) as caught:
            await tts.poll_once(job.task.id, owner=OWNER)
    assert isinstance(caught.value.__cause__, KeyError)
    assert (await world.stored(job)).task.phase is Phase.QUEUED


class PickyProvider(FakeJobProvider):
    """Has its own opinion of requests."""

    def check_request(self, request: SpeechRequest) -> None:
        raise ValidationError("Voice has no reference audio.", code="no_reference_audio")


@pytest.mark.parametrize(
    ("request_", "owner", "key", "code"),
    [
        (a_request(""), OWNER, None, "text_required"),
        (a_request("x" * 10_001), OWNER, None, "text_too_long"),
        (a_request(provider="other"), OWNER, None, "voice_provider_mismatch"),
        (a_request(), "", None, "owner_required"),
        (a_request(), "a\0b", None, "text_encoding"),
        (a_request(), "a\ud800", None, "text_encoding"),
        (replace(a_request(), language="\ud800"), OWNER, None, "text_encoding"),
        (a_request(), OWNER, "", "idempotency_key_invalid"),
        (a_request(), OWNER, "x" * 129, "idempotency_key_invalid"),
        (a_request(), OWNER, "ключ", "idempotency_key_invalid"),
    ],
)
async def test_bad_input_fails_before_anything_is_written(
    request_: SpeechRequest, owner: str, key: str | None, code: str
) -> None:
    """Refused with a stable code; no row, no call."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        with pytest.raises(ValidationError) as caught:
            await tts.submit(request_, owner=owner, idempotency_key=key)
        assert (await tts.history(owner=owner)).total == 0
    assert (caught.value.code, provider.ledger.submits) == (code, 0)


async def test_a_provider_may_refuse_a_request_before_anything_is_written() -> None:
    """What only the vendor's adapter can know is asked there."""
    world = World(PickyProvider())
    async with world.running() as tts:
        with pytest.raises(ValidationError, match="no reference audio"):
            await world.submitted(tts)
        assert (await tts.history(owner=OWNER)).total == 0


async def test_the_same_key_and_request_give_the_same_job() -> None:
    """A repeated submit is answered with the first job, however far it is by now."""
    provider = FakeJobProvider(checks_until_ready=0)
    world = World(provider)
    async with world.running() as tts:
        first = await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
        await polled_to_the_end(tts, first)
        again = await tts.submit(a_request(), owner=OWNER, idempotency_key="k")
        other = await tts.submit(a_request(), owner=STRANGER, idempotency_key="k")
    assert again.task.id == first.task.id
    assert completed(again)
    assert other.task.id != first.task.id
    assert provider.ledger.submits == 2


async def test_the_same_key_with_another_request_is_a_conflict() -> None:
    """The first task is untouched."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        first = await tts.submit(a_request("One"), owner=OWNER, idempotency_key="k")
        with pytest.raises(IdempotencyConflict):
            await tts.submit(a_request("Two"), owner=OWNER, idempotency_key="k")
        assert await tts.get(first.task.id, owner=OWNER) == first
    assert provider.ledger.submits == 1


async def test_sixty_four_racing_submits_with_one_key_make_one_job() -> None:
    """A double click pays once."""
    provider = FakeJobProvider()
    world = World(provider)
    jobs: list[Job] = []

    async def submit(tts: Orchestrator) -> None:
        jobs.append(await tts.submit(a_request(), owner=OWNER, idempotency_key="k"))

    async with world.running() as tts, anyio.create_task_group() as group:
        for _ in range(64):
            group.start_soon(submit, tts)
    assert len({job.task.id for job in jobs}) == 1
    assert provider.ledger.submits == 1


async def test_an_owner_at_the_cap_is_told_to_wait() -> None:
    """Ended tasks don't count."""
    world = World(FakeJobProvider())
    async with world.running(limits=Limits(active_per_owner=1)) as tts:
        job = await world.submitted(tts)
        with pytest.raises(ActiveJobLimit):
            await world.submitted(tts)
        await tts.submit(a_request(), owner=STRANGER)
        await tts.cancel(job.task.id, owner=OWNER)
        await world.submitted(tts)


async def test_sixty_four_polls_of_one_task_make_one_speech() -> None:
    """One synthesis, one stored blob, every answer consistent, each poll counted once."""
    provider = FakeJobProvider(checks_until_ready=1)
    world = World(provider)
    answers: list[Job] = []

    async def poll(tts: Orchestrator, job: Job) -> None:
        answers.extend([await tts.poll_once(job.task.id, owner=OWNER) for _ in range(4)])

    async with world.running() as tts:
        job = await world.submitted(tts)
        async with anyio.create_task_group() as group:
            for _ in range(64):
                group.start_soon(poll, tts, job)
    assert (provider.ledger.submits, provider.ledger.fetches) == (1, 1)
    assert len(await world.blob_keys()) == 1
    active = [answer.task.poll_count for answer in answers if not answer.task.status.terminal]
    assert len(active) == len(set(active))
    assert (await world.stored(job)).task.poll_count <= 64 * 4
    assert provider.ledger.checks <= 8


async def test_a_poll_that_is_given_up_does_not_stop_the_step() -> None:
    """The client closes its browser in the middle of finalize: the task completes all the same."""
    provider = FakeJobProvider(checks_until_ready=0)
    fetching, go_on = paused_at(provider, "fetch")
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: tts.poll_once(job.task.id, owner=OWNER))
            await fetching.wait()
            group.cancel_scope.cancel()
        seen = await tts.poll_once(job.task.id, owner=OWNER)
        assert (seen.task.phase, seen.task.status) == (Phase.STORING, Status.PROCESSING)
        go_on.set()
        assert completed(await polled_to_the_end(tts, job))


async def test_a_poll_never_shows_less_than_the_row_it_read() -> None:
    """It joins a check that began before the row moved on, and that then fails: the row counts."""
    provider = FakeJobProvider(checks_until_ready=9, words=("one", "two"))
    checking, go_on = anyio.Event(), anyio.Event()
    waits = [go_on]

    def pause(call: str) -> anyio.Event | None:
        if call == "check" and waits:
            checking.set()
            return waits.pop()
        return None

    provider.script.pause = pause
    world = World(provider)
    seen: list[Job] = []
    async with world.running() as slow, world.running() as quick:
        job = await world.submitted(slow)

        async def poll() -> None:
            seen.append(await slow.poll_once(job.task.id, owner=OWNER))

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await checking.wait()
            provider.script.check.append(None)
            moved_on = await quick.poll_once(job.task.id, owner=OWNER)
            group.start_soon(poll)
            await anyio.wait_all_tasks_blocked()
            provider.script.check.append(ProviderUnavailable())
            go_on.set()
    assert {each.task.word for each in seen} == {"status_error", moved_on.task.word}


async def test_cancelling_the_host_does_not_reach_what_a_shielded_caller_waits_for() -> None:
    """The scope around the orchestrator is cancelled; a cancel that somebody insists on is still written."""
    provider = FakeDirectProvider()
    submitting, _ = paused_at(provider, "submit")
    world = World(provider)
    with anyio.CancelScope() as host:
        async with world.running(background=True) as tts:
            job = await world.submitted(tts)
            await submitting.wait()
            host.cancel()
            with anyio.CancelScope(shield=True):
                cancelled = await tts.cancel(job.task.id, owner=OWNER)
            assert cancelled.task.status is Status.CANCELLED
            await anyio.lowlevel.checkpoint()
    assert host.cancelled_caught
    assert provider.ledger.in_flight == 0


async def test_leaving_is_immediate_when_nothing_is_under_way() -> None:
    """No keeper of a lease that was given back is waited for (I19)."""
    world = World(
        FakeJobProvider(checks_until_ready=0), policy=replace(POLICY, lease=90, shutdown_grace=60)
    )
    with anyio.fail_after(5):
        async with world.running() as tts:
            await polled_to_the_end(tts, await world.submitted(tts))


async def test_another_owners_task_does_not_exist() -> None:
    """Every verb answers a stranger as if there were nothing (I14)."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await world.submitted(tts)
        task_id, generation_id = job.task.id, job.task.generation_id or ""
        for call in (tts.poll_once, tts.step, tts.finalize, tts.cancel, tts.get, tts.delete_task):
            with pytest.raises(NotFound):
                await call(task_id, owner=STRANGER)
        for other in (tts.get_generation, tts.delete_generation):
            with pytest.raises(NotFound):
                await other(generation_id, owner=STRANGER)
        assert (await tts.history(owner=STRANGER)).total == 0
        assert not await tts.list_tasks(owner=STRANGER)
        assert await world.stored(job) == job


async def test_finalize_stores_what_is_ready_and_leaves_the_rest_alone() -> None:
    """A task that runs is not checked by it; one that waits for its next try is tried now."""
    provider = FakeJobProvider(checks_until_ready=0)
    provider.script.fetch.append(ProviderUnavailable())
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        assert (await tts.finalize(job.task.id, owner=OWNER)).task.phase is Phase.RUNNING
        job = await tts.step(job.task.id, owner=OWNER)
        assert (job.task.phase, job.task.finalize_attempts) == (Phase.READY, 1)
        waits = await tts.poll_once(job.task.id, owner=OWNER)
        assert waits.task.phase is Phase.READY
        assert provider.ledger.fetches == 1
        assert completed(await tts.finalize(job.task.id, owner=OWNER))
    assert provider.ledger.fetches == 2


async def test_history_lists_searches_and_forgets() -> None:
    """A deleted generation takes its audio along; its task stays readable."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        kept = await polled_to_the_end(tts, await world.submitted(tts, "Guten Tag"))
        gone = await polled_to_the_end(tts, await world.submitted(tts, "Good day"))
        assert (await tts.history(owner=OWNER)).total == 2
        found = await tts.history(owner=OWNER, search="GUTEN", status=Status.COMPLETED)
        assert [generation.text for generation in found.items] == ["Guten Tag"]
        await tts.delete_generation(gone.task.generation_id or "", owner=OWNER)
        assert (await tts.history(owner=OWNER)).total == 1
        assert kept.task.audio is not None
        assert await world.blob_keys() == [kept.task.audio.key]
        assert completed(await tts.get(gone.task.id, owner=OWNER))
        with pytest.raises(NotFound):
            await tts.get_generation(gone.task.generation_id or "", owner=OWNER)


async def test_deleting_a_generation_at_work_cancels_its_task_first() -> None:
    """Nothing goes on for a line that is gone."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.delete_generation(job.task.generation_id or "", owner=OWNER)
        seen = await tts.get(job.task.id, owner=OWNER)
    assert (seen.task.status, seen.generation) == (Status.CANCELLED, None)
    assert provider.ledger.cancels == ["job-1"]


async def test_a_generation_outlives_its_deleted_task() -> None:
    """Deleting the task leaves history and audio, and the generation can still be deleted."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
        await tts.delete_task(job.task.id, owner=OWNER)
        with pytest.raises(NotFound):
            await tts.get(job.task.id, owner=OWNER)
        assert (await tts.history(owner=OWNER)).total == 1
        assert len(await world.blob_keys()) == 1
        await tts.delete_generation(job.task.generation_id or "", owner=OWNER)
        assert await world.blob_keys() == []


async def test_an_active_task_that_is_deleted_is_cancelled() -> None:
    """And its owner sees it no more."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.delete_task(job.task.id, owner=OWNER)
        assert not await tts.list_tasks(owner=OWNER)
    assert (await world.stored(job)).task.status is Status.CANCELLED
    assert provider.ledger.cancels == ["job-1"]


async def test_voices_are_found_among_the_owners_own_and_the_built_in_ones() -> None:
    """A stranger's voice, a deleted one and an unknown id are the same nothing."""
    world = World(FakeJobProvider())
    mine = replace(a_voice(), id="mine", owner=OWNER, created_at=world.clock())
    await world.tasks.add_voice(mine)
    built_in = a_voice()
    async with world.running() as tts:
        assert await tts.find_voice("mine", owner=OWNER) == mine
        assert await tts.find_voice(built_in.id, owner=OWNER) == built_in
        for voice_id, owner in (("mine", STRANGER), ("none", OWNER)):
            with pytest.raises(NotFound):
                await tts.find_voice(voice_id, owner=owner)


async def test_a_provider_without_a_catalog_has_no_built_in_voices() -> None:
    """Nothing to list is an empty list."""
    provider = cast(Provider, SimpleNamespace(name="mute"))
    world = World(provider)
    tts = Orchestrator(provider=provider, tasks=world.tasks, blobs=world.blobs)
    assert await tts.builtin_voices() == ()
    with pytest.raises(NotFound):
        await tts.find_voice("any", owner=OWNER)


async def test_a_listener_hears_every_transition_after_its_commit() -> None:
    """In order, with the phase before; one that raises disturbs nobody."""
    world = World(FakeJobProvider(checks_until_ready=0))
    heard: list[tuple[Phase | None, Phase]] = []

    async def listen(transition: Transition) -> None:
        stored = await world.stored(transition.job)
        assert stored.task.version >= transition.job.task.version
        heard.append((transition.before, transition.job.task.phase))

    async def broken(transition: Transition) -> None:
        raise ValueError("a listener's own problem")

    async with world.running(listeners=(broken, listen)) as tts:
        await polled_to_the_end(tts, await world.submitted(tts))
    assert heard == [
        (None, Phase.SUBMITTING),
        (Phase.SUBMITTING, Phase.RUNNING),
        (Phase.RUNNING, Phase.READY),
        (Phase.READY, Phase.STORING),
        (Phase.STORING, Phase.COMPLETED),
    ]


async def test_an_orchestrator_that_is_not_running_says_so() -> None:
    """Before `async with`, and after it."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        job = await world.submitted(tts)
    with pytest.raises(InternalError, match="not running"):
        await tts.poll_once(job.task.id, owner=OWNER)


async def test_the_default_policy_is_used_when_none_is_given() -> None:
    """And its clock is the store's."""
    world = World(FakeJobProvider())
    tts = Orchestrator(provider=world.provider, tasks=world.tasks, blobs=world.blobs)
    assert tts.policy == Policy()
    assert tts.now() == world.clock()


async def test_an_exception_in_the_body_leaves_as_itself() -> None:
    """No exception group around a host's own error."""
    world = World(FakeJobProvider())
    with pytest.raises(ZeroDivisionError):
        async with world.running():
            raise ZeroDivisionError


@pytest.mark.parametrize(
    "field", ["active_per_owner", "submits_per_minute", "in_flight_per_provider"]
)
def test_a_limit_that_takes_nothing_in_is_refused(field: str) -> None:
    """Whoever means "no limit" says None."""
    with pytest.raises(ConfigurationError):
        Limits(**{field: 0})


async def test_an_expiry_without_a_time_zone_costs_nobody_what_was_paid_for() -> None:
    """An adapter that forgot it means UTC; a defect in the step after the call would lose the speech."""
    world = World(FakeJobProvider(checks_until_ready=0))
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - what this is about
    envelope: Envelope = {"url": "https://vendor.example/1"}

    async def check(ticket: Ticket) -> Ready:
        return Ready(envelope, expires_at=naive)

    async with world.running() as tts:
        job = await world.submitted(tts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world.provider, "check", check)
            patch.setattr(world.provider, "fetch", _NeverThere)
            job = await tts.step(job.task.id, owner=OWNER)
    assert job.task.phase is Phase.READY
    assert job.task.result_expires_at == naive.replace(tzinfo=UTC)


class _NeverThere(AbstractAsyncContextManager[AudioStream]):
    def __init__(self, envelope: Envelope) -> None:
        pass

    async def __aenter__(self) -> AudioStream:
        raise NotReady

    async def __aexit__(self, *error: object) -> None:
        pass
