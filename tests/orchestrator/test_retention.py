"""What is old goes, or all that an owner has; never what somebody still needs, and never a half."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio
import pytest

from tests.orchestrator.test_effects import Book
from tests.orchestrator.voices import CLIP, OTHER_VOICE, VOICE, WORDS
from tests.orchestrator.world import (
    OWNER,
    STRANGER,
    World,
    completed,
    crashing,
    paused_at,
    polled_to_the_end,
)
from ttsorch._keys import audio_key, clip_key
from ttsorch.errors import (
    BlobNotFound,
    NotFound,
    ProviderUnavailable,
    StorageUnavailable,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import Generation, Job, PurgeReport, Status, Task, TaskKind, Voice
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJob, FakeJobProvider
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.speech import a_request, tone_wav

pytestmark = pytest.mark.anyio

_DAY = 86_400.0
_MONTH = 30 * _DAY
_MOST_PLACES = 200

Casting = FakeCastingProvider | FakeDesigningJobProvider
MAKERS: dict[str, Callable[[], Casting]] = {
    "direct": FakeCastingProvider,
    "job": lambda: FakeDesigningJobProvider(checks_until_ready=0),
}


async def spoken(tts: Orchestrator, *, owner: str = OWNER, key: str | None = None) -> Job:
    job = await tts.submit(a_request(), owner=owner, idempotency_key=key)
    return await polled_to_the_end(tts, job)


async def previewed(tts: Orchestrator, *, owner: str = OWNER) -> Job:
    job = await tts.preview_design(text="Hear me.", description="Calm.", owner=owner)
    return await polled_to_the_end(tts, job)


async def cloned(tts: Orchestrator, voice_id: str, *, owner: str = OWNER) -> Voice:
    await tts.upload_clip(voice_id, CLIP, owner=owner)
    return await tts.clone_voice(voice_id, name="Vera", owner=owner, transcript=WORDS)


async def put(world: World, key: str) -> str:
    async def chunks() -> object:
        yield tone_wav()

    await world.blobs.put(key, chunks(), "audio/wav")  # type: ignore[arg-type]  # an iterator it is
    return key


@dataclass(frozen=True)
class Belongings:
    """All that the rows say that an owner has."""

    tasks: tuple[Task, ...]
    generations: tuple[Generation, ...]
    voices: tuple[Voice, ...]


async def belongings(world: World, owner: str) -> Belongings:
    return Belongings(
        tuple(job.task for job in await world.tasks.list_tasks(owner, limit=100)),
        (await world.tasks.list_generations(owner, per_page=100)).items,
        (await world.tasks.list_voices(owner, per_page=100)).items,
    )


async def named_keys(world: World, owner: str) -> set[str]:
    """The blobs that this owner's rows name; each is there."""
    has = await belongings(world, owner)
    previews = [task for task in has.tasks if task.generation_id is None]
    keys = {generation.audio.key for generation in has.generations if generation.audio}
    keys |= {preview.audio.key for preview in previews if preview.audio}
    keys |= {voice.reference_audio_key for voice in has.voices if voice.reference_audio_key}
    for key in keys:
        try:
            async with world.blobs.open(key):
                pass
        except BlobNotFound:
            raise AssertionError(f"a row points to nothing: {key}") from None
    return keys


async def lived(world: World, owner: str, voice_id: str) -> None:
    """An owner who has one of everything."""
    async with world.running() as tts:
        await spoken(tts, owner=owner)
        hidden = await spoken(tts, owner=owner)
        await tts.delete_task(hidden.task.id, owner=owner)
        await tts.save_design((await previewed(tts, owner=owner)).task.id, owner=owner)
        await previewed(tts, owner=owner)
        await cloned(tts, voice_id, owner=owner)
        await tts.delete_voice(voice_id, owner=owner)


# --- by age -------------------------------------------------------------------------------------------


async def test_old_tasks_go_and_histories_stay() -> None:
    """Contract 4.6: a generation and its audio have nothing to do with their task's row."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        old = await spoken(tts)
        world.clock.advance(_MONTH)
        young = await spoken(tts)
        keys = await world.blob_keys()
        assert await tts.purge(older_than=_MONTH - 1) == PurgeReport(tasks=1)
        with pytest.raises(NotFound):
            await tts.poll_once(old.task.id, owner=OWNER)
        assert (await tts.get(young.task.id, owner=OWNER)).task == young.task
        history = (await tts.history(owner=OWNER)).items
        assert set(history) == {old.generation, young.generation}
        world.clock.advance(_MONTH)
        assert await tts.collect_orphans() == []
        assert await world.blob_keys() == keys
        await tts.delete_generation(old.task.generation_id or "", owner=OWNER)
        assert len(await world.blob_keys()) == 1


async def test_audio_goes_with_its_history_where_it_is_asked_for() -> None:
    """Also when the task's row went before; the report counts the blobs."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        await spoken(tts)
        world.clock.advance(_MONTH)
        await tts.purge(older_than=_DAY)
        await spoken(tts, owner=STRANGER)
        said = await tts.purge(older_than=_DAY, audio=True, dry_run=True)
        assert len(await world.blob_keys()) == 2
        assert await tts.purge(older_than=_DAY, audio=True) == said
        assert said == PurgeReport(generations=1, blobs=1)
        assert (await tts.history(owner=OWNER)).total == 0
        assert await named_keys(world, STRANGER) == set(await world.blob_keys())


async def test_a_purge_is_bounded() -> None:
    """A call takes a page, and says that there may be more."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        for _ in range(3):
            await spoken(tts)
        world.clock.advance(_DAY)
        assert await tts.purge(older_than=1, limit=2) == PurgeReport(tasks=2, more=True)
        assert await tts.purge(older_than=1, limit=2) == PurgeReport(tasks=1)


@pytest.mark.parametrize(
    ("older_than", "limit", "code"),
    [
        (-1.0, 1, "age_invalid"),
        (float("nan"), 1, "age_invalid"),
        (float("inf"), 1, "age_invalid"),
        (1.0, 0, "limit_invalid"),
    ],
)
async def test_what_makes_no_sense_is_refused(older_than: float, limit: int, code: str) -> None:
    """Before anything is removed."""
    async with World(FakeJobProvider()).running() as tts:
        with pytest.raises(ValidationError) as refused:
            await tts.purge(older_than=older_than, limit=limit)
    assert refused.value.code == code


async def test_a_purged_idempotency_key_is_free() -> None:
    """The key goes with its task: the same request is a new one, and costs again."""
    world = World(provider := FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        first = await spoken(tts, key="k")
        world.clock.advance(_DAY)
        await tts.purge(older_than=1)
        second = await spoken(tts, key="k")
    assert first.task.id != second.task.id
    assert len(provider.ledger.accepted) == 2


@pytest.mark.parametrize("name", MAKERS)
async def test_a_design_can_be_saved_until_its_audio_is_purged(name: str) -> None:
    """Contract R17: a purge of rows leaves what a save needs; one of audio takes it whole."""
    world = World(MAKERS[name]())
    async with world.running() as tts:
        first, second = await previewed(tts), await previewed(tts)
        world.clock.advance(_DAY)
        assert await tts.purge(older_than=1) == PurgeReport()
        voice = await tts.save_design(first.task.id, owner=OWNER)
        assert await tts.purge(older_than=1, audio=True) == PurgeReport(tasks=2, blobs=1)
        assert await named_keys(world, OWNER) == {voice.reference_audio_key}
        with pytest.raises(NotFound):
            await tts.save_design(second.task.id, owner=OWNER)
    assert await world.blob_keys() == [voice.reference_audio_key]


async def test_a_save_that_meets_a_purge_makes_no_voice_without_audio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The preview goes between the look at it and the voice that was to be added."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        preview = await previewed(tts)
        world.clock.advance(_DAY)
        get = world.tasks.get

        async def get_and_purge(*args: str, include_deleted: bool = False) -> Job | None:
            found = await get(*args, include_deleted=include_deleted)
            await tts.purge(older_than=1, audio=True)
            return found

        monkeypatch.setattr(world.tasks, "get", get_and_purge)
        with pytest.raises(NotFound):
            await tts.save_design(preview.task.id, owner=OWNER)
    assert (await world.tasks.list_voices(OWNER)).total == 0
    assert await world.blob_keys() == []


async def test_a_voice_is_paid_for_once_also_after_a_purge() -> None:
    """The row of its clone may go once the voice is there; its id stays taken when it is deleted."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await cloned(tts, VOICE)
        await tts.delete_voice(VOICE, owner=OWNER)
        world.clock.advance(_DAY)
        assert (await tts.purge(older_than=1, audio=True)).tasks == 1
        with pytest.raises(ValidationError) as refused:
            await cloned(tts, VOICE)
    assert refused.value.code == "voice_exists"
    assert len(provider.ledger.accepted) == 1


async def test_a_clone_that_nobody_knows_of_is_not_sent_again_after_a_purge() -> None:
    """Its row stays, since it is all that says that the voice may have been paid for."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(ProviderUnavailable(ambiguous=True))
    async with world.running() as tts:
        with pytest.raises(TtsorchError):
            await cloned(tts, VOICE)
        world.clock.advance(_DAY)
        await tts.sweep_once()
        world.clock.advance(_MONTH)
        assert await tts.purge(older_than=1, audio=True) == PurgeReport()
        with pytest.raises(TtsorchError) as refused:
            await tts.clone_voice(VOICE, name="Vera", owner=OWNER, transcript=WORDS)
    assert refused.value.code == "submission_outcome_unknown"
    assert len(provider.ledger.accepted) == 1


# --- of an owner --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
async def test_nothing_of_an_owner_is_left(name: str) -> None:
    """Tasks, history, voices, hidden or not, uploads and blobs; a stranger's are as they were. The same
    again finds nothing."""
    world = World(MAKERS[name]())
    await lived(world, OWNER, VOICE)
    await lived(world, STRANGER, OTHER_VOICE)
    async with world.running() as tts:
        await tts.upload_clip(OTHER_VOICE, CLIP, owner=OWNER)
        await tts.submit(a_request(), owner=OWNER)
        theirs, keys = await belongings(world, STRANGER), await world.blob_keys()
        others = {key for key in keys if key.startswith(await _prefix(world, STRANGER))}
        said = await tts.purge_owner(OWNER, dry_run=True)
        assert await world.blob_keys() == keys
        report = await tts.purge_owner(OWNER)
        assert report.done
        assert (said.tasks_left, said.blobs) == (1, report.blobs)
        assert said.tasks == report.tasks - 1
        assert report.generations == 3
        assert report.voices == 2
        assert await tts.purge_owner(OWNER) == PurgeReport()
    assert await belongings(world, OWNER) == Belongings((), (), ())
    assert await belongings(world, STRANGER) == theirs
    assert set(await world.blob_keys()) == others
    await named_keys(world, STRANGER)


async def _prefix(world: World, owner: str) -> str:
    key = (await belongings(world, owner)).voices[0].reference_audio_key or ""
    return key.partition("/")[0] + "/"


async def test_the_provider_is_told_before_a_row_goes() -> None:
    """Until it could be told the row stays for that, hidden and without its text."""
    world = World(provider := FakeJobProvider())
    provider.script.cancel.append(ProviderUnavailable())
    async with world.running() as tts:
        job = await world.submitted(tts)
        assert await tts.purge_owner(OWNER) == PurgeReport(generations=1, tasks_left=1)
        assert await tts.list_tasks(owner=OWNER) == []
        assert (await world.stored(job)).task.status is Status.CANCELLED
        assert await tts.purge_owner(OWNER) == PurgeReport(tasks_left=1)  # it isn't asked too often
        world.clock.advance(60)
        assert await tts.purge_owner(OWNER) == PurgeReport(tasks=1)
    assert provider.ledger.cancels == ["job-1", "job-1"]
    assert provider.jobs["job-1"].cancelled


async def test_what_is_owed_can_be_abandoned() -> None:
    """Where nobody can be told any more, and the owner has to go."""
    world = World(provider := FakeJobProvider())
    provider.script.cancel.append(ProviderUnavailable())
    async with world.running(effects=(Book("bank", *[ProviderUnavailable()] * 9),)) as tts:
        await world.submitted(tts)
        assert (await tts.purge_owner(OWNER)).tasks_left == 1
        report = await tts.purge_owner(OWNER, abandon_owed=True)
        assert (report.tasks, report.effects, report.done) == (1, 1, True)


async def test_listeners_are_told_before_a_row_goes() -> None:
    """Of what was cancelled just now too; who can't be told keeps the bare row until that is over."""
    world, book = World(FakeJobProvider()), Book("bank", None, ProviderUnavailable())
    async with world.running(effects=(book,)) as tts:
        first = await world.submitted(tts)
        assert (await tts.purge_owner(OWNER)).done
        second = await world.submitted(tts)
        assert (await tts.purge_owner(OWNER)).tasks_left == 1
        world.clock.advance(60)
        assert (await tts.purge_owner(OWNER)).done
    assert book.told == [f"{first.task.id}.cancelled", f"{second.task.id}.cancelled"]


async def test_a_job_that_is_accepted_after_its_row_went_is_called_off() -> None:
    """The answer has no place any more; the provider is told to stop."""
    world = World(provider := FakeJobProvider())
    begun, go_on = paused_at(provider, "submit")
    async with (
        world.running() as slow,
        world.running() as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lambda: world.submitted(slow))
        await begun.wait()
        assert (await other.purge_owner(OWNER)).done
        go_on.set()
    assert provider.jobs["job-1"].cancelled
    assert await belongings(world, OWNER) == Belongings((), (), ())


async def test_speech_that_arrives_after_its_row_went_is_not_kept() -> None:
    """The copy that was under way is thrown away by who made it."""
    world = World(provider := FakeJobProvider(checks_until_ready=0))
    begun, go_on = paused_at(provider, "fetch")
    async with world.running() as slow, world.running() as other:
        job = await world.submitted(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: slow.poll_once(job.task.id, owner=OWNER))
            await begun.wait()
            assert (await other.purge_owner(OWNER)).done
            go_on.set()
    assert await world.blob_keys() == []


async def test_a_voice_that_is_made_after_its_row_went_is_not_added() -> None:
    """Neither a voice nor a recording is left of it here."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "clone")

    async def clone(tts: Orchestrator) -> None:
        with pytest.raises(TtsorchError):
            await cloned(tts, VOICE)

    async with (
        world.running() as slow,
        world.running() as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(clone, slow)
        await begun.wait()
        assert (await other.purge_owner(OWNER)).done
        go_on.set()
    assert await belongings(world, OWNER) == Belongings((), (), ())
    assert await world.blob_keys() == []


@pytest.mark.parametrize("paid_before", [False, True])
async def test_a_voice_that_would_be_added_after_the_purge_is_not_added(
    paid_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The purge comes between the last look at the row and the voice that it tells of."""
    world = World(FakeCastingProvider())
    async with world.running() as tts, world.running() as other:
        add_voice = world.tasks.add_voice

        async def fail(voice: Voice, *, of_task: str | None = None) -> bool:
            raise StorageUnavailable(detail="injected")

        async def purge_and_add(voice: Voice, *, of_task: str | None = None) -> bool:
            await other.purge_owner(OWNER)
            return await add_voice(voice, of_task=of_task)

        if paid_before:  # and cancelled before its voice could be added
            monkeypatch.setattr(world.tasks, "add_voice", fail)
            with pytest.raises(StorageUnavailable):
                await cloned(tts, VOICE)
            (job,) = await tts.list_tasks(owner=OWNER)
            await tts.cancel(job.task.id, owner=OWNER)
        monkeypatch.setattr(world.tasks, "add_voice", purge_and_add)
        if not paid_before:
            await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with pytest.raises(TtsorchError):
            await tts.clone_voice(VOICE, name="Vera", owner=OWNER, transcript=WORDS)
    assert await belongings(world, OWNER) == Belongings((), (), ())
    assert await world.blob_keys() == []


async def test_what_is_begun_meanwhile_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A submit between the cancels and the removal: both rows are there, and it ends as ever."""
    world = World(FakeJobProvider(checks_until_ready=0))
    async with world.running() as tts:
        await spoken(tts)
        purge_owned = world.tasks.purge_owned
        made: list[Job] = []

        async def submit_and_purge(owner: str, *, limit: int, abandon_owed: bool) -> object:
            if not made:
                made.append(await world.submitted(tts))
            return await purge_owned(owner, limit=limit, abandon_owed=abandon_owed)

        monkeypatch.setattr(world.tasks, "purge_owned", submit_and_purge)
        report = await tts.purge_owner(OWNER)
        assert (report.tasks, report.tasks_left, report.done) == (1, 1, False)
        job = await polled_to_the_end(tts, made[0])
    assert completed(job)
    assert job.generation is not None
    assert await named_keys(world, OWNER) == set(await world.blob_keys())


async def test_blobs_that_a_call_may_be_about_to_name_are_left() -> None:
    """A copied recording and an import, until they are too old for that; an upload never is."""
    world = World(FakeCastingProvider())
    copy = await put(world, clip_key(OWNER, VOICE, "wav"))
    imported = await put(world, audio_key(OWNER, VOICE, 0, "wav"))
    await put(world, audio_key(OWNER, VOICE, 3, "wav"))
    theirs = await put(world, audio_key(STRANGER, VOICE, 3, "wav"))
    async with world.running() as tts:
        await tts.upload_clip(OTHER_VOICE, CLIP, owner=OWNER)
        assert await tts.purge_owner(OWNER) == PurgeReport(blobs=2, blobs_left=2)
        assert set(await world.blob_keys()) == {copy, imported, theirs}
        world.clock.advance(world.policy.orphan_grace)
        assert await tts.purge_owner(OWNER) == PurgeReport(blobs=2)
    assert await world.blob_keys() == [theirs]


async def test_speech_is_left_while_a_task_may_be_about_to_name_it() -> None:
    """As long as any task of its owner is not settled."""
    world = World(provider := FakeJobProvider())
    provider.script.cancel.append(ProviderUnavailable())
    key = await put(world, audio_key(OWNER, VOICE, 3, "wav"))
    async with world.running() as tts:
        await world.submitted(tts)
        report = await tts.purge_owner(OWNER)
        assert (report.blobs, report.blobs_left) == (0, 1)
        assert await world.blob_keys() == [key]
        world.clock.advance(60)
        assert (await tts.purge_owner(OWNER)).done
    assert await world.blob_keys() == []


async def test_speech_is_left_while_a_task_that_cannot_be_read_may_be_about_to_name_it() -> None:
    """A newer version may be at it: its owner is erased but for that, and the purge says so."""
    world = World(FakeJobProvider())
    store = world.tasks
    assert isinstance(store, MemoryTaskStore)
    async with world.running() as tts:
        await spoken(tts)
        odd = await world.submitted(tts)
        store.spoil(odd.task.id)
        key = await put(world, audio_key(OWNER, odd.task.generation_id or "", 3, "wav"))
        report = await tts.purge_owner(OWNER)
        assert (report.tasks, report.tasks_left, report.done) == (1, 1, False)
        assert (report.blobs, report.blobs_left) == (1, 1)
    assert await world.blob_keys() == [key]


async def test_one_task_that_cannot_be_ended_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left, whole, and counted."""
    world = World(FakeDirectProvider())
    world.policy = replace(world.policy, sweep_batch=2)
    async with world.running() as tts:
        jobs = [await world.submitted(tts) for _ in range(5)]
        bad, write = jobs[2].task.id, world.tasks.replace

        async def fail_for_one(task: Task, *args: object, **kwargs: object) -> bool:
            if task.id == bad:
                raise StorageUnavailable(detail="injected")
            return await write(task, *args, **kwargs)  # type: ignore[arg-type]  # handed on

        monkeypatch.setattr(world.tasks, "replace", fail_for_one)
        report = await tts.purge_owner(OWNER)
        assert (report.tasks, report.tasks_left) == (4, 1)
        assert [job.task.id for job in await tts.list_tasks(owner=OWNER)] == [bad]
        assert (await tts.history(owner=OWNER)).total == 1
    assert f"purge: task {bad}" in caplog.text


async def test_an_owner_has_a_name() -> None:
    """An empty one is refused, and so is a page of nothing."""
    async with World(FakeJobProvider()).running() as tts:
        with pytest.raises(ValidationError):
            await tts.purge_owner("")
        with pytest.raises(ValidationError):
            await tts.purge_owner(OWNER, limit=0)


# --- faults -------------------------------------------------------------------------------------------


async def purge_all_owners_had(tts: Orchestrator) -> None:
    await tts.purge_owner(OWNER, limit=2)


async def purge_by_age(tts: Orchestrator) -> None:
    while (await tts.purge(older_than=_DAY, limit=2, audio=True)).more:
        pass


async def with_a_fault_at(
    world: World, plan: FaultPlan, purge: Callable[[Orchestrator], Awaitable[None]]
) -> None:
    async with crashing(), world.running(plan=plan) as tts:
        try:
            with anyio.CancelScope() as plan.scope:
                await purge(tts)
        except TtsorchError:
            assert plan.struck


async def check_each_purge_of_an_owner(
    make: Callable[[], Casting], fault: Fault, make_world: Callable[[Casting], World] = World
) -> set[str | None]:
    """Break the purge at place 1, 2, 3, ... and repeat it; which calls were broken."""
    broken: set[str | None] = set()
    for place in range(1, _MOST_PLACES):
        world, plan = make_world(provider := make()), FaultPlan(fault, at=place)
        await lived(world, OWNER, VOICE)
        await lived(world, STRANGER, OTHER_VOICE)
        async with world.running() as tts:
            await tts.submit(a_request(), owner=OWNER)
        theirs = await belongings(world, STRANGER)
        await with_a_fault_at(world, plan, purge_all_owners_had)
        await named_keys(world, OWNER)
        await repeated_until_done(world)
        assert await belongings(world, OWNER) == Belongings((), (), ())
        assert await belongings(world, STRANGER) == theirs
        assert all(job.cancelled for job in _jobs_that_were_under_way(provider))
        await only_a_stranger_is_left(world)
        if not plan.struck:
            return broken
        broken.add(plan.broken)
    raise AssertionError("the purge never ends")


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", MAKERS)
async def test_a_purge_of_an_owner_survives_a_fault_at_every_place(name: str, fault: Fault) -> None:
    """At no moment does a row point to nothing; repeated until it is done, it leaves nothing of the owner,
    and the stranger all."""
    broken = await check_each_purge_of_an_owner(MAKERS[name], fault)
    assert {"list_unsettled", "replace", "purge_owned", "unreferenced", "delete"} <= broken
    assert "cancel" in broken or name == "direct"


def _jobs_that_were_under_way(provider: Casting) -> list[FakeJob]:
    jobs = provider.jobs.values() if isinstance(provider, FakeDesigningJobProvider) else ()
    return [job for job in jobs if not job.asked]


async def repeated_until_done(world: World) -> None:
    for _ in range(10):
        async with world.running() as tts:
            if (await tts.purge_owner(OWNER)).done:
                return
        world.clock.advance(1800)
    raise AssertionError("it is never done")


async def only_a_stranger_is_left(world: World) -> None:
    """Every blob is named by the stranger's rows, or by what the stranger has hidden."""
    world.clock.advance(world.policy.orphan_grace + 1)
    async with world.running() as tts:
        assert await tts.collect_orphans() == []
    prefix = await _prefix(world, STRANGER)
    assert all(key.startswith(prefix) for key in await world.blob_keys())
    await named_keys(world, STRANGER)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", MAKERS)
async def test_a_purge_by_age_survives_a_fault_at_every_place(name: str, fault: Fault) -> None:
    """At no moment does a row point to nothing; repeated, it leaves what is young and the voices; and what a
    crash left unnamed is collected."""
    broken: set[str | None] = set()
    for place in range(1, _MOST_PLACES):
        world, plan = World(MAKERS[name]()), FaultPlan(fault, at=place)
        await lived(world, OWNER, VOICE)
        world.clock.advance(_MONTH)
        async with world.running() as tts:
            young = [await spoken(tts), await tts.submit(a_request(), owner=OWNER)]
        voices = (await belongings(world, OWNER)).voices
        await with_a_fault_at(world, plan, purge_by_age)
        await named_keys(world, OWNER)
        async with world.running() as tts:
            await purge_by_age(tts)
            world.clock.advance(world.policy.orphan_grace + 1)
            await tts.collect_orphans(dry_run=False)
        has = await belongings(world, OWNER)
        assert {task.id for task in has.tasks} == {job.task.id for job in young}
        assert {generation.task_id for generation in has.generations} == {
            job.task.id for job in young
        }
        assert has.voices == voices
        hidden = await world.tasks.get_voice(OWNER, VOICE, include_deleted=True)
        assert hidden is not None
        assert set(await world.blob_keys()) == await named_keys(world, OWNER) | {
            hidden.reference_audio_key
        }
        if not plan.struck:
            break
        broken.add(plan.broken)
    assert broken == {"purge_ended", "unreferenced", "delete"}


async def test_a_purged_task_has_no_kind_that_stays_for_ever() -> None:
    """A year later only clones without a voice, and previews whose audio may stay, have rows."""
    world = World(FakeCastingProvider())
    await lived(world, OWNER, VOICE)
    world.clock.advance(365 * _DAY)
    async with world.running() as tts:
        await tts.purge(older_than=_MONTH)
        left = await tts.list_tasks(owner=OWNER)
    assert [job.task.kind for job in left] == [TaskKind.DESIGN_PREVIEW]
