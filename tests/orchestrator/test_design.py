"""Voices from a description: a preview is one paid job, saving it is free, and neither is ever lost."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from tests.orchestrator.voices import CLIP, VOICE, previewed, tasks_of
from tests.orchestrator.world import (
    OWNER,
    POLICY,
    STRANGER,
    World,
    completed,
    crashing,
    paused_at,
    polled_to_the_end,
)
from ttsorch.errors import (
    ActiveJobLimit,
    Category,
    IdempotencyConflict,
    NotFound,
    ProviderRejected,
    ProviderUnavailable,
    ResultExpired,
    StorageUnavailable,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import (
    Job,
    Limits,
    OnUnknown,
    Phase,
    SpeechRequest,
    Status,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeJobProvider, lost_reply
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.invariants import check_blobs, check_ledger, check_rows
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

Designer = FakeCastingProvider | FakeDesigningJobProvider
DESIGNERS: dict[str, Callable[[], Designer]] = {
    "in hand": FakeCastingProvider,
    "envelope": lambda: FakeCastingProvider(fetchable=True),
    "ticket": FakeDesigningJobProvider,
}
MOST_PLACES = 80


async def finished_preview(tts: Orchestrator) -> Job:
    return await polled_to_the_end(tts, await previewed(tts))


def code_of(job: Job) -> str | None:
    return job.task.error.code if job.task.error else None


# --- preview ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", DESIGNERS.values(), ids=DESIGNERS)
async def test_a_preview_is_one_paid_job(make: Callable[[], Designer]) -> None:
    """Its audio is the preview, and its row holds the voice that the provider made."""
    world = World(provider := make())
    async with world.running() as tts:
        job = await previewed(tts, name="Calm Carl")
        assert (job.task.status, job.generation) == (Status.PENDING, None)
        assert provider.ledger.submits == 0
        job = await polled_to_the_end(tts, job)

    (made,) = provider.ledger.voices
    task = job.task
    assert completed(job), task.error
    assert (made.kind, made.key) == ("design", task.id)
    assert (task.kind, task.generation_id) == (TaskKind.DESIGN_PREVIEW, None)
    assert (task.voice.provider_voice_id, task.voice.name) == (made.id, "Calm Carl")
    assert (task.voice.description, task.voice.reference_transcript) == (
        "A calm voice.",
        "Hear me.",
    )
    assert task.audio is not None
    assert await world.blob_keys() == [task.audio.key]
    assert (task.envelope, task.receipt is not None) == (None, True)
    assert await world.tasks.get_voice(OWNER, task.voice.id) is None
    assert (await world.tasks.list_generations(OWNER)).total == 0


async def test_a_design_that_takes_long_comes_by_ticket() -> None:
    """Running, as the provider says, then ready; its voice comes with the result."""
    world = World(FakeDesigningJobProvider(checks_until_ready=2))
    async with world.running() as tts:
        job = await previewed(tts)
        phases = []
        for _ in range(4):
            job = await tts.poll_once(job.task.id, owner=OWNER)
            phases.append((job.task.phase, job.task.voice.provider_voice_id))
    assert phases == [
        (Phase.RUNNING, None),
        (Phase.RUNNING, None),
        (Phase.RUNNING, None),
        (Phase.COMPLETED, "design-1"),
    ]


async def test_previews_are_made_in_the_background() -> None:
    """With background on, nobody has to poll."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "design")
    async with world.running(background=True) as tts:
        job = await previewed(tts)
        with anyio.fail_after(5):
            await begun.wait()
            polled = await tts.poll_once(job.task.id, owner=OWNER)
            assert polled.task.status is Status.PROCESSING
            go_on.set()
            while not (job := await tts.get(job.task.id, owner=OWNER)).task.status.terminal:
                await anyio.lowlevel.checkpoint()
    assert completed(job)


async def test_a_repeated_preview_is_the_same_one() -> None:
    """Same key, same description: one job. Another description: a conflict."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        first = await polled_to_the_end(tts, await previewed(tts, key="k"))
        again = await previewed(tts, key="k")
        with pytest.raises(IdempotencyConflict):
            await tts.preview_design(
                text="Hear me.", description="Another.", owner=OWNER, idempotency_key="k"
            )
    assert again.task.id == first.task.id
    assert provider.ledger.submits == 1


async def test_a_preview_counts_as_a_job() -> None:
    """The owner's cap holds for it."""
    world = World(FakeCastingProvider())
    async with world.running(limits=Limits(active_per_owner=1)) as tts:
        await previewed(tts)
        with pytest.raises(ActiveJobLimit):
            await previewed(tts)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"text": " "}, "text_required"),
        ({"text": "x" * 501}, "text_too_long"),
        ({"description": ""}, "description_required"),
        ({"description": " \u200b"}, "description_required"),
        ({"description": "x" * 501}, "description_too_long"),
        ({"description": "\U0001f600" * 251}, "description_too_long"),
        ({"description": "a\0"}, "text_encoding"),
        ({"name": "x" * 101}, "voice_name_too_long"),
        ({"language": "Klingon"}, "language_unsupported"),
        ({"idempotency_key": "a b"}, "idempotency_key_invalid"),
    ],
)
async def test_what_cannot_be_designed_is_refused(changes: dict[str, str], code: str) -> None:
    """Before anything is written or sent."""
    provider = FakeCastingProvider()
    provider.capabilities = replace(provider.capabilities, languages=("English",))
    world = World(provider)
    asked = {"text": "x" * 500, "description": "y" * 500, "language": "english", **changes}
    async with world.running() as tts:
        with pytest.raises(ValidationError) as caught:
            await tts.preview_design(**asked, owner=OWNER)
        assert await tts.list_tasks(owner=OWNER) == []
    assert caught.value.code == code


async def test_a_provider_that_cannot_design_is_named() -> None:
    """409: without the power, and with the power but not the capability."""
    powerless, unwilling = FakeJobProvider(), FakeCastingProvider()
    powerless.capabilities = replace(powerless.capabilities, design=True)
    unwilling.capabilities = replace(unwilling.capabilities, design=False)
    for provider in (powerless, unwilling):
        async with World(provider).running() as tts:
            with pytest.raises(ValidationError) as caught:
                await previewed(tts)
        assert (caught.value.code, caught.value.http_status) == ("design_unsupported", 409)


# --- save ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", DESIGNERS.values(), ids=DESIGNERS)
async def test_saving_costs_nothing(make: Callable[[], Designer]) -> None:
    """The preview's voice is reused, its audio is the voice's recording; twice is the same voice."""
    world = World(provider := make())
    async with world.running() as tts:
        job = await finished_preview(tts)
        submits = provider.ledger.submits
        voice = await tts.save_design(job.task.id, owner=OWNER, name="Vera")
        world.clock.advance(5)
        again = await tts.save_design(job.task.id, owner=OWNER, name="Other")
        assert await tts.find_voice(voice.id, owner=OWNER) == voice
    assert again == voice
    assert job.task.audio is not None
    assert (voice.name, voice.source) == ("Vera", VoiceSource.DESIGNED)
    assert voice.reference_audio_key == job.task.audio.key
    assert (voice.provider_voice_id, voice.owner) == ("design-1", OWNER)
    assert provider.ledger.submits == submits == 1


async def test_a_saved_voice_keeps_the_previews_name_and_can_be_spoken_with() -> None:
    """Without a name of its own it has the preview's, or a plain one."""
    world = World(provider := FakeDesigningJobProvider(audio=tone_wav()))
    async with world.running() as tts:
        named = await polled_to_the_end(tts, await previewed(tts, name="Calm Carl"))
        voice = await tts.save_design(named.task.id, owner=OWNER)
        plain = await tts.save_design((await finished_preview(tts)).task.id, owner=OWNER)
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        assert completed(await polled_to_the_end(tts, job))
    assert (voice.name, plain.name) == ("Calm Carl", "Designed voice")
    (clip,) = provider.ledger.clips
    assert clip is not None
    assert clip.data == provider.audio


async def test_the_task_may_be_deleted_before_its_voice_is_saved() -> None:
    """And the preview's audio is never an orphan."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        job = await finished_preview(tts)
        await tts.delete_task(job.task.id, owner=OWNER)
        world.clock.advance(POLICY.orphan_grace + 1)
        assert await tts.collect_orphans(dry_run=False) == []
        voice = await tts.save_design(job.task.id, owner=OWNER)
        with pytest.raises(NotFound):
            await tts.get(job.task.id, owner=OWNER)
    assert voice.reference_audio_key in await world.blob_keys()


async def test_a_saved_and_deleted_voice_is_not_saved_again() -> None:
    """It is gone, as the user wished."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        job = await finished_preview(tts)
        voice = await tts.save_design(job.task.id, owner=OWNER)
        await tts.delete_voice(voice.id, owner=OWNER)
        with pytest.raises(NotFound) as caught:
            await tts.save_design(job.task.id, owner=OWNER)
    assert caught.value.code == "voice_not_found"


async def test_only_a_finished_preview_of_ones_own_can_be_saved() -> None:
    """Not one under way, failed, missing, a stranger's, or another kind of task."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        waiting = await previewed(tts)
        with pytest.raises(ValidationError) as unfinished:
            await tts.save_design(waiting.task.id, owner=OWNER)
        await tts.cancel(waiting.task.id, owner=OWNER)
        with pytest.raises(ValidationError) as cancelled:
            await tts.save_design(waiting.task.id, owner=OWNER)
        provider.script.design.append(ProviderRejected(code="moderated"))
        failed = await finished_preview(tts)
        with pytest.raises(ValidationError) as refused:
            await tts.save_design(failed.task.id, owner=OWNER)
        done = await finished_preview(tts)
        speech = await polled_to_the_end(tts, await world.submitted(tts))
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await tts.clone_voice(VOICE, name="Vera", owner=OWNER)
        (clone,) = await tasks_of(world, TaskKind.CLONE)
        for owner, task_id in (
            (STRANGER, done.task.id),
            (OWNER, speech.task.id),
            (OWNER, clone.id),
            (OWNER, "missing"),
        ):
            with pytest.raises(NotFound) as foreign:
                await tts.save_design(task_id, owner=owner)
            assert foreign.value.code == "task_not_found"
        with pytest.raises(ValidationError) as nameless:
            await tts.save_design(done.task.id, owner=OWNER, name=" ")
        assert (await world.tasks.list_voices(OWNER)).total == 1
    for error in (unfinished.value, cancelled.value, refused.value):
        assert (error.code, error.http_status) == ("preview_not_finished", 409)
    assert nameless.value.code == "voice_name_required"


async def test_a_host_without_voices_saves_none() -> None:
    """The verbs say so, and the operator reads what to do about it."""
    world = World(FakeCastingProvider())
    async with Orchestrator(
        provider=world.provider, tasks=world.tasks, blobs=world.blobs, background=False
    ) as tts:
        for call in (tts.save_design("any", owner=OWNER), previewed(tts)):
            with pytest.raises(ValidationError) as caught:
                await call
            assert (caught.value.code, caught.value.http_status) == ("voices_not_kept", 409)
            assert "voices=" in (caught.value.detail or "")


# --- what goes wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", DESIGNERS.values(), ids=DESIGNERS)
async def test_a_design_whose_outcome_nobody_knows_is_never_sent_again(
    make: Callable[[], Designer],
) -> None:
    """It fails after its grace period, and operators find it."""
    world = World(provider := make())
    provider.script.design_reply_lost.append(lost_reply())
    async with world.running() as tts:
        job = await previewed(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.phase is Phase.SUBMIT_UNKNOWN
        world.clock.advance(POLICY.unknown_grace + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert code_of(job) == "submission_outcome_unknown"
    assert provider.ledger.submits == 1
    assert [each.task.id for each in await world.tasks.list_unknown()] == [job.task.id]


async def test_a_design_that_could_not_begin_is_put_off() -> None:
    """Also with a job provider: a design takes long, and nobody waits for its answer."""
    world = World(provider := FakeDesigningJobProvider())
    provider.script.design.append(ProviderUnavailable(retry_after=9.0))
    async with world.running() as tts:
        job = await previewed(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert (job.task.phase, provider.ledger.submits) == (Phase.QUEUED, 1)
        world.clock.advance(10)
        assert completed(await polled_to_the_end(tts, job))


async def test_a_design_is_cancelled_at_its_provider() -> None:
    """A ticket of a design is a ticket like any other."""
    world = World(provider := FakeDesigningJobProvider(checks_until_ready=9))
    async with world.running() as tts:
        job = await previewed(tts)
        await tts.poll_once(job.task.id, owner=OWNER)
        job = await tts.cancel(job.task.id, owner=OWNER)
    assert (job.task.status, job.task.cancel_owed) == (Status.CANCELLED, False)
    assert provider.ledger.cancels == ["job-1"]


@pytest.mark.parametrize("owed", ["check", "cancel"])
async def test_what_is_quick_does_not_wait_for_designs_that_are_made(owed: str) -> None:
    """With every place for a synthesis taken, the sweep still asks for a design that runs at its provider,
    and still tells it to stop."""
    world = World(
        provider := FakeDesigningJobProvider(checks_until_ready=0),
        policy=replace(POLICY, concurrency=1),
    )
    async with world.running() as tts:
        first = await previewed(tts)
        first = await tts.poll_once(first.task.id, owner=OWNER)
        assert first.task.phase is Phase.RUNNING
        if owed == "cancel":
            provider.script.cancel.append(ProviderUnavailable())
            await tts.cancel(first.task.id, owner=OWNER)
        begun, go_on = paused_at(provider, "design")
        await previewed(tts)
        world.clock.advance(100)
        async with anyio.create_task_group() as group:
            group.start_soon(tts.sweep_once)
            await begun.wait()
            await anyio.wait_all_tasks_blocked()
            first = await world.stored(first)
            go_on.set()
    if owed == "check":
        assert completed(first)
    else:
        assert (first.task.cancel_owed, len(provider.ledger.cancels)) == (False, 2)


async def crashed_at(name: str) -> World:
    """A design in hand whose process dies at the last call of that name."""
    worlds: list[World] = []
    for place in range(1, MOST_PLACES):
        plan = FaultPlan(Fault.CRASH, at=place)
        world = World(FakeCastingProvider())
        async with crashing(), world.running(plan=plan) as tts:
            await finished_preview(tts)
        if not plan.struck:
            return worlds[-1]
        if plan.broken == name:
            worlds.append(world)
    raise AssertionError("the preview never ends")


async def test_a_preview_that_was_lost_says_so() -> None:
    """A crash after the voice was bound and before the preview was stored: the voice is on the row."""
    world = await crashed_at("put")
    (task,) = await tasks_of(world, TaskKind.DESIGN_PREVIEW)
    assert (task.phase, task.voice.provider_voice_id) == (Phase.STORING, "design-1")
    world.clock.advance(POLICY.lease + 1)
    async with world.running() as tts:
        job = await tts.poll_once(task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.category, job.task.error.code) == (
        Status.FAILED,
        Category.PROVIDER_UNAVAILABLE,
        "preview_lost",
    )
    assert job.task.voice.provider_voice_id == "design-1"
    assert (job.task.outcome_open, await world.tasks.list_unknown()) == (False, [])


async def test_a_preview_that_was_stored_but_not_published_is_found() -> None:
    """A crash between the upload and the row: the next one publishes what is there."""
    world = await crashed_at("replace")
    (task,) = await tasks_of(world, TaskKind.DESIGN_PREVIEW)
    assert (task.phase, len(await world.blob_keys())) == (Phase.STORING, 1)
    world.clock.advance(POLICY.lease + 1)
    async with world.running() as tts:
        job = await tts.poll_once(task.id, owner=OWNER)
        assert completed(job), job.task.error
        assert (await tts.save_design(task.id, owner=OWNER)).provider_voice_id == "design-1"


async def test_a_preview_that_breaks_off_is_lost_but_its_voice_is_not() -> None:
    """The speech stops half way; nothing is in doubt, so nothing is listed, and nothing is sent again."""
    provider = FakeCastingProvider(on_unknown=OnUnknown.RESUBMIT)
    world = World(provider)
    async with world.running() as tts:
        break_off(world, ProviderUnavailable(code="connection_lost"))
        job = await finished_preview(tts)
    assert (code_of(job), job.task.outcome_open) == ("preview_lost", False)
    assert job.task.voice.provider_voice_id == "design-1"
    assert provider.ledger.submits == 1


async def test_a_preview_that_is_not_audio_fails_as_what_it_is() -> None:
    """The provider's answer is its answer; the voice is on the row all the same."""
    world = World(FakeCastingProvider(audio=b"<html>"))
    async with world.running() as tts:
        job = await finished_preview(tts)
    assert (code_of(job), job.task.voice.provider_voice_id) == ("result_not_audio", "design-1")


async def test_our_own_storage_is_named_when_it_lost_the_preview() -> None:
    """What the operator has to read is why: a disk that was full, say."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        break_off(world, StorageUnavailable(code="disk_full"))
        job = await previewed(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.phase is Phase.READY
        world.clock.advance(60)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert (job.task.status, code_of(job)) == (Status.FAILED, "preview_lost")
    assert job.task.error is not None
    assert "disk_full" in (job.task.error.detail or "")
    assert job.task.voice.provider_voice_id == "design-1"


async def test_an_expired_preview_fails_with_its_voice_on_the_row() -> None:
    """Its link is dead, and a direct provider can't be asked for another."""
    world = World(provider := FakeCastingProvider(fetchable=True))
    provider.script.fetch.append(ResultExpired())
    async with world.running() as tts:
        job = await finished_preview(tts)
    assert (code_of(job), job.task.voice.provider_voice_id) == ("result_expired", "design-1")
    assert job.task.envelope is None


def break_off(world: World, error: TtsorchError) -> None:
    """Make the next upload into the blob store fail with ``error``."""
    put = world.blobs.put

    async def fail(*args: object, **kwargs: object) -> None:
        world.blobs.put = put  # type: ignore[method-assign]
        raise error

    world.blobs.put = fail  # type: ignore[assignment,method-assign]


# --- faults -------------------------------------------------------------------------------------------


async def design_and_save(tts: Orchestrator) -> None:
    """Preview, poll, save, going on after an error as a client does."""
    for _ in range(2):
        try:
            job = await previewed(tts, key="k")
            for _ in range(4):
                job = await tts.poll_once(job.task.id, owner=OWNER)
            await tts.save_design(job.task.id, owner=OWNER)
        except TtsorchError:
            continue


async def check_the_bill(world: World, provider: Designer) -> list[Voice]:
    """At most one voice was made, and it is on the row or listed; saved voices are the row's."""
    jobs = await world.tasks.list_tasks(OWNER, limit=50)
    assert len(jobs) <= 1
    for job in jobs:
        assert job.task.status.terminal, f"stuck in {job.task.phase}"
        assert not job.task.cancel_owed
        check_rows(job)
        check_ledger(job, provider)
    await check_blobs(jobs, world.blobs)
    assert len(provider.ledger.voices) <= 1
    saved = list((await world.tasks.list_voices(OWNER)).items)
    for voice in saved:
        assert voice.id == jobs[0].task.voice.id
        assert voice.provider_voice_id == jobs[0].task.voice.provider_voice_id == "design-1"
        assert completed(jobs[0])
    return saved


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", DESIGNERS)
async def test_a_design_survives_a_fault_at_every_place(name: str, fault: Fault) -> None:
    """One voice is made at most, one is saved at most, and no blob is left over."""
    broken: list[str | None] = []
    for place in range(1, MOST_PLACES):
        world = World(provider := DESIGNERS[name]())
        plan = FaultPlan(fault, at=place)
        async with crashing(), world.running(plan=plan) as tts:
            with anyio.CancelScope() as scope:
                plan.scope = scope
                await design_and_save(tts)
        async with world.running() as tts:
            for seconds in (1, 20, 20, 60, 120, 120, 600, 3600, 60):
                world.clock.advance(seconds)
                await tts.sweep_once()
            await design_and_save(tts)
            world.clock.advance(POLICY.orphan_grace + 1)
            await tts.collect_orphans(dry_run=False)
        saved = await check_the_bill(world, provider)
        assert len(await world.blob_keys()) == len(saved)
        if not plan.struck:
            assert saved
            break
        broken.append(plan.broken)
    assert {"create", "design", "put", "add_voice"} <= set(broken)
