"""Ways in which a voice that was paid for could get lost, or be paid for twice."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest

from tests.orchestrator.voices import (
    CLIP,
    OTHER_VOICE,
    VOICE,
    cloned,
    previewed,
    refusal,
    tasks_of,
    uploaded_and_cloned,
)
from tests.orchestrator.world import (
    OWNER,
    POLICY,
    STRANGER,
    World,
    completed,
    paused_at,
    polled_to_the_end,
)
from ttsorch import states
from ttsorch.errors import (
    CorruptResult,
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderUnavailable,
    StorageUnavailable,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import (
    Attempt,
    AudioStream,
    BlobInfo,
    BlobStream,
    Clip,
    Effect,
    Generation,
    Job,
    Limits,
    OnUnknown,
    Phase,
    Ready,
    Status,
    Task,
    TaskKind,
    Voice,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, lost_reply
from ttsorch.testing.speech import a_request, tone_wav

pytestmark = pytest.mark.anyio


class OpensBadly(FakeCastingProvider):
    """Its preview can't even be opened."""

    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        return replace(await super().design(draft, attempt), audio=self._bad())

    @asynccontextmanager
    async def _bad(self) -> AsyncIterator[AudioStream]:
        if self.audio:
            raise CorruptResult
        yield AudioStream(aiter(()))  # type: ignore[arg-type]


class GivesNoReceipt(FakeCastingProvider):
    async def design(self, draft: Voice, attempt: Attempt) -> Ready:
        return replace(await super().design(draft, attempt), receipt=None)


class NamesNoVoice(FakeCastingProvider):
    async def clone(self, draft: Voice, clip: Clip, attempt: Attempt) -> Ready:
        return replace(await super().clone(draft, clip, attempt), voice=None)


async def test_a_voice_is_on_the_row_before_its_preview_is_opened() -> None:
    """Bad audio is no reason to forget which voice was made."""
    world = World(OpensBadly())
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await previewed(tts))
    assert job.task.status is Status.FAILED
    assert job.task.voice.provider_voice_id == "design-1"


@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_a_lost_preview_is_not_an_unknown_outcome(
    on_unknown: OnUnknown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The voice is on the row, with a receipt or without, so nothing is ever made again."""
    world = World(provider := GivesNoReceipt(on_unknown=on_unknown))

    async def broken(key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        raise ProviderUnavailable(code="broke")

    async with world.running() as tts:
        with monkeypatch.context() as patch:
            patch.setattr(world.blobs, "put", broken)
            job = await tts.poll_once((await previewed(tts)).task.id, owner=OWNER)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert len(provider.ledger.voices) == 1
    assert job.task.error is not None
    assert job.task.error.code == "preview_lost"


async def test_an_upload_under_a_generations_id_is_in_nobodys_way() -> None:
    """A host may hand in any id; the folder of recordings isn't that of results."""
    world = World(provider := FakeCastingProvider(fetchable=True))
    provider.script.fetch.append(ProviderUnavailable())
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        await tts.upload_clip(job.task.generation_id or "", CLIP, owner=OWNER)
        world.clock.advance(60)
        assert completed(await polled_to_the_end(tts, job))


def test_events_show_no_ticket_and_no_envelope() -> None:
    """Both may hold what isn't for logs."""
    when = World(FakeCastingProvider()).clock() + timedelta(seconds=1)
    for event in (
        states.SubmitAccepted({"id": "SECRET"}, when),
        states.TicketArrived({"id": "SECRET"}),
        states.ResultReady({"url": "SECRET"}),
        states.StoreStarted({"url": "SECRET"}),
    ):
        assert "SECRET" not in repr(event)


@pytest.mark.parametrize("verb", ["upload", "clone", "preview"])
async def test_an_owner_is_required(verb: str) -> None:
    """Nothing is kept for nobody."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        calls = {
            "upload": partial(tts.upload_clip, VOICE, CLIP),
            "clone": partial(tts.clone_voice, VOICE, name="Vera"),
            "preview": partial(tts.preview_design, text="Hi.", description="Calm."),
        }
        with pytest.raises(ValidationError) as caught:
            await calls[verb](owner="")  # type: ignore[operator]
    assert caught.value.code == "owner_required"
    assert await world.blob_keys() == []


async def test_the_clip_of_a_clone_under_way_is_no_orphan() -> None:
    """However old the upload is, and however often the clone was tried."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.extend([ProviderInvalid(), ProviderUnavailable(retry_after=1.0)])
    async with world.running() as tts:
        with pytest.raises(ProviderInvalid):
            await uploaded_and_cloned(tts)
        world.clock.advance(POLICY.orphan_grace + 1)
        with pytest.raises(ProviderUnavailable):
            await cloned(tts)
        [task] = [
            each for each in await tasks_of(world, TaskKind.CLONE) if not each.status.terminal
        ]
        await tts.collect_orphans(dry_run=False)
        world.clock.advance(5)
        job = await tts.step(task.id, owner=OWNER)
    assert completed(job)


async def test_an_unfinished_clone_holds_its_clip_at_any_age() -> None:
    """Also with a grace that is shorter than a clone takes."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=1.0))
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        [task] = await tasks_of(world, TaskKind.CLONE)
    assert await world.tasks.unreferenced([task.voice.reference_audio_key or ""]) == []


async def test_an_id_that_another_owner_has_makes_no_voice() -> None:
    """It is told like one's own, and the voice that the provider made is on the task's row."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        first = await uploaded_and_cloned(tts)
        with pytest.raises(TtsorchError) as caught:
            await uploaded_and_cloned(tts, owner=STRANGER)
        assert await tts.find_voice(VOICE, owner=OWNER) == first
    [task] = await tasks_of(world, TaskKind.CLONE, owner=STRANGER)
    assert (caught.value.code, task.status) == ("voice_exists", Status.FAILED)
    assert task.voice.provider_voice_id == "clone-2"


async def test_a_repeated_clone_keeps_to_the_vendors_wait() -> None:
    """Repeating the verb is no way around Retry-After."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=60.0))
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        with pytest.raises(ProviderUnavailable):
            await cloned(tts)
        assert provider.ledger.submits == 1
        world.clock.advance(61)
        assert (await cloned(tts)).provider_voice_id == "clone-1"


async def test_a_clone_that_names_no_voice_is_an_unknown_outcome() -> None:
    """A success without an id: it may have been made, so it isn't made again."""
    world = World(provider := NamesNoVoice())
    async with world.running() as tts:
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await (cloned(tts) if provider.ledger.submits else uploaded_and_cloned(tts))
        assert [job.task.kind for job in await world.tasks.list_unknown()] == [TaskKind.CLONE]
    assert provider.ledger.submits == 1


# --- never paid for twice -----------------------------------------------------------------------------


def broke_after_it_began() -> ProviderUnavailable:
    """The vendor did the work, perhaps all of it, and then answered with an error."""
    return ProviderUnavailable(code="broke", started=True)


async def test_a_clone_that_began_and_broke_is_never_sent_again() -> None:
    """Each repeat hears the same 502, which no proxy repeats; another id is another voice."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(broke_after_it_began())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        errors = [await refusal(tts) for _ in range(3)]
        assert provider.ledger.submits == 1
        voice = await uploaded_and_cloned(tts, OTHER_VOICE)
    assert [(error.code, error.http_status) for error in errors] == [("broke", 502)] * 3
    assert voice.provider_voice_id == "clone-2"


@pytest.mark.parametrize("kind", ["began", "unknown"])
async def test_a_deleted_task_is_no_way_to_a_second_call(kind: str) -> None:
    """The user doesn't see the try any more; it still counts."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(
        broke_after_it_began() if kind == "began" else lost_reply()
    )
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
        world.clock.advance(POLICY.unknown_grace + 1)
        await tts.sweep_once()
        (task,) = await tasks_of(world, TaskKind.CLONE)
        await tts.delete_task(task.id, owner=OWNER)
        await refusal(tts)
    assert task.status is Status.FAILED
    assert provider.ledger.submits == 1


async def test_a_deleted_try_that_brought_nothing_is_in_no_new_ones_way() -> None:
    """It is counted, and its id isn't used again, so the next one is really sent."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderRejected(code="moderated"))
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        await tts.delete_task(task.id, owner=OWNER)
        assert (await cloned(tts)).provider_voice_id == "clone-1"
    assert provider.ledger.submits == 2


@pytest.mark.parametrize("lost", [lost_reply, broke_after_it_began, lambda: None])
@pytest.mark.parametrize("second", [ProviderRejected, ProviderUnavailable, lambda: None])
@pytest.mark.parametrize("first", [ProviderRejected, ProviderUnavailable, lambda: None])
async def test_a_crowd_of_callers_pays_for_one_voice(
    first: Callable[[], ProviderError | None],
    second: Callable[[], ProviderError | None],
    lost: Callable[[], ProviderError | None],
) -> None:
    """Two processes, callers at once and one after another, and a provider in every mood: one voice at
    most is made, and it is the one that they get, or one that operators or the row tell of."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.extend([first(), second()])
    provider.script.clone_reply_lost.append(lost())
    got: list[str | None] = []
    heard: list[str] = []

    async def click(tts: Orchestrator) -> None:
        try:
            got.append((await cloned(tts)).provider_voice_id)
        except TtsorchError as error:
            heard.append(error.code)

    async with world.running() as one, world.running() as other:
        await one.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            for tts in (one, other, one, other):
                group.start_soon(click, tts)
        for tts, seconds in ((one, 5), (other, 5), (one, POLICY.unknown_grace + 1), (other, 5)):
            world.clock.advance(seconds)
            await click(tts)
        unknown = await one.list_unknown()
    failed = [task.error for task in await tasks_of(world, TaskKind.CLONE) if task.error]
    assert len(provider.ledger.voices) == 1
    assert set(got) <= {"clone-1"}
    assert "clip_missing" not in heard
    assert got or unknown or any(error.started for error in failed)


async def test_a_try_that_was_refused_after_one_that_got_lost_is_the_last() -> None:
    """The lost call may have made a voice, whatever became of the second: it stays listed, and a host
    that is back at the default doesn't pay for a third."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(lost_reply())
    provider.script.clone.extend([None, ProviderRejected()])
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
    async with world.running(on_unknown=OnUnknown.FAIL) as tts:
        await refusal(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        assert [job.task.id for job in await tts.list_unknown()] == [task.id]
    assert (provider.ledger.submits, len(provider.ledger.voices)) == (2, 1)


async def test_callers_in_the_same_instant_make_one_task() -> None:
    """Two processes, neither of which sees the other's try: the ids of tries follow from the voice's."""
    world = World(provider := FakeCastingProvider())
    create = world.tasks.create
    both, waiting = anyio.Event(), 0

    async def together(task: Task, generation: Generation | None, **bounds: object) -> Job:
        nonlocal waiting
        waiting += 1
        if waiting == 2:
            both.set()
        await both.wait()
        return await create(task, generation, **bounds)  # type: ignore[arg-type]

    world.tasks.create = together  # type: ignore[method-assign]
    answers: list[str | None] = []

    async def clone(tts: Orchestrator) -> None:
        try:
            answers.append((await cloned(tts)).provider_voice_id)
        except TtsorchError as error:
            answers.append(error.code)

    async with world.running() as one, world.running() as other:
        await one.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(clone, one)
            group.start_soon(clone, other)
        assert len(await tasks_of(world, TaskKind.CLONE)) == 1
        assert (await one.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"
    assert waiting == 2
    assert set(answers) <= {"clone-1", "voice_in_progress"}
    assert "clone-1" in answers
    assert provider.ledger.submits == 1


async def test_a_users_idempotency_keys_and_clones_never_meet() -> None:
    """Whatever a user calls a job, no clone is refused for it, nor a job for a clone."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await uploaded_and_cloned(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        for key in (f"clone.{VOICE}.1", task.id, VOICE):
            job = await tts.submit(a_request(), owner=OWNER, idempotency_key=key)
            assert job.task.kind is TaskKind.GENERATE
    assert task.idempotency_key is None


async def test_a_try_sends_the_recording_that_was_uploaded_for_it() -> None:
    """Not the one of an earlier try, whose copy may still be there."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderRejected())
    newer = tone_wav(1.0)
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        world.clock.advance(POLICY.orphan_grace / 2)
        await refusal(tts)
        world.clock.advance(POLICY.orphan_grace / 2 + 1)
        await tts.collect_orphans(dry_run=False)
        await tts.upload_clip(VOICE, newer, owner=OWNER)
        voice = await cloned(tts)
    assert [clip and clip.data for clip in provider.ledger.clips] == [CLIP, newer]
    async with world.blobs.open(voice.reference_audio_key or "") as blob:
        assert b"".join([chunk async for chunk in blob.chunks]) == newer


async def test_asking_again_keeps_no_copies() -> None:
    """While one try is under way, a caller who comes back every second fills no disk."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(lost_reply())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        for _ in range(5):
            await refusal(tts)
            world.clock.advance(1)
    assert len(await world.blob_keys()) == 2


async def test_a_clone_under_way_needs_no_second_upload() -> None:
    """Its upload may be gone by then: the caller is told to wait, not to upload again."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=60.0))
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
        for key in await world.blob_keys():
            if key.endswith("/upload.bin"):
                await world.blobs.delete(key)
        assert (await refusal(tts)).code == "voice_in_progress"
        world.clock.advance(61)
        assert (await cloned(tts)).provider_voice_id == "clone-1"


@pytest.mark.parametrize(
    ("wait", "told"), [(90.0, [90.0, 60.0]), (0.001, [1.0])], ids=["long", "short"]
)
async def test_whoever_waits_for_a_voice_is_told_how_long(wait: float, told: list[float]) -> None:
    """Until somebody looks at it again, and a second at least."""
    world = World(provider := FakeCastingProvider(), policy=replace(POLICY, submit_backoff=0.001))
    provider.script.clone.append(ProviderUnavailable(retry_after=wait))
    heard: list[float | None] = []
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        for _ in told:
            heard.append((await refusal(tts)).retry_after)
            world.clock.advance(30)
    assert heard == told
    assert provider.ledger.submits == 1


async def test_a_clone_takes_no_place_from_speech() -> None:
    """The cap is on jobs of speech: a clone nobody knows about must not lock its owner out."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(lost_reply())
    async with world.running(limits=Limits(active_per_owner=1)) as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
        await uploaded_and_cloned(tts, OTHER_VOICE)
        assert completed(await polled_to_the_end(tts, await world.submitted(tts)))


# --- never lost ---------------------------------------------------------------------------------------


def no_voices_for_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of voices is away until ``monkeypatch`` is undone."""

    async def away(voice: Voice, *, of_task: str | None = None) -> bool:
        raise StorageUnavailable(code="away")

    monkeypatch.setattr(world.tasks, "add_voice", away)


async def test_a_paid_voice_is_to_be_had_after_its_upload_was_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its task was cancelled before it could add the voice: a repeat needs no upload, and the recording
    that the row names was no orphan."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with monkeypatch.context() as patch:
            no_voices_for_now(world, patch)
            await refusal(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        await tts.cancel(task.id, owner=OWNER)
        world.clock.advance(POLICY.orphan_grace * 2)
        assert len(await tts.collect_orphans(dry_run=False)) == 1
        voice = await cloned(tts)
    assert (voice.provider_voice_id, provider.ledger.submits) == ("clone-1", 1)
    assert await world.blob_keys() == [voice.reference_audio_key]


@pytest.mark.parametrize("make", [FakeDirectProvider, FakeCastingProvider])
async def test_a_paid_voice_is_added_also_when_its_provider_is_gone(
    make: type[FakeDirectProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is needed from it any more: the host may have switched providers in the meantime."""
    world, successor = World(FakeCastingProvider()), make("other")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with monkeypatch.context() as patch:
            no_voices_for_now(world, patch)
            await refusal(tts)
    world.provider = successor
    world.clock.advance(POLICY.lease + 1)
    async with world.running() as tts:
        await tts.sweep_once()
        voice = await tts.find_voice(VOICE, owner=OWNER)
        (task,) = await tasks_of(world, TaskKind.CLONE)
    assert (task.status, voice.tts_provider, voice.provider_voice_id) == (
        Status.COMPLETED,
        "fake",
        "clone-1",
    )
    assert successor.ledger.submits == 0


async def test_a_voice_whose_recording_vanished_is_added_all_the_same() -> None:
    """The provider has it: the voice is there, and the task says what is missing."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(cloned, tts)
            await begun.wait()
            (task,) = await tasks_of(world, TaskKind.CLONE)
            await world.blobs.delete(task.voice.reference_audio_key or "")
            go_on.set()
        (task,) = await tasks_of(world, TaskKind.CLONE)
        assert (await tts.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"
    assert (task.status, task.error and task.error.code) == (Status.FAILED, "clip_unavailable")


async def test_a_recording_that_cannot_be_read_now_is_described_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The voice is there at once, before its recording is read again; the sweep ends the task."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)

        async def clone() -> None:
            await refusal(tts)

        def away(key: str, **span: int | None) -> None:
            raise StorageUnavailable(code="away")

        with monkeypatch.context() as patch:
            async with anyio.create_task_group() as group:
                group.start_soon(clone)
                await begun.wait()
                patch.setattr(world.blobs, "open", away)
                go_on.set()
            assert (await tts.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"
            (task,) = await tasks_of(world, TaskKind.CLONE)
            assert task.phase is Phase.READY
        world.clock.advance(POLICY.lease + 1)
        await tts.sweep_once()
        (task,) = await tasks_of(world, TaskKind.CLONE)
    assert (task.status, provider.ledger.submits) == (Status.COMPLETED, 1)


@pytest.mark.parametrize("call", ["clone", "design"])
async def test_the_answer_to_a_cancelled_call_keeps_its_voice_and_its_bill(call: str) -> None:
    """Another process cancelled it while it was under way: what was paid for is on the row, and it is
    known again, so nobody has to look for it."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, call)
    async with world.running() as one, world.running() as other:

        async def make() -> None:
            if call == "clone":
                await cloned(one)
            else:
                job = await previewed(one)
                await one.poll_once(job.task.id, owner=OWNER)

        await one.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(make)
            await begun.wait()
            (task,) = (job.task for job in await other.list_tasks(owner=OWNER))
            await other.cancel(task.id, owner=OWNER)
            go_on.set()
        (task,) = (job.task for job in await other.list_tasks(owner=OWNER, active=False))
        assert await other.list_unknown() == []
    assert (task.status, task.voice.provider_voice_id) == (Status.CANCELLED, f"{call}-1")
    assert dict(task.receipt or {})["usage"] == {"voices": 1}


@pytest.mark.parametrize("call", ["clone", "design"])
async def test_an_answer_outlives_a_database_that_is_away_for_a_while(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than any other commit is given: with a voice that comes beside its preview, and with one that
    comes alone."""
    world = World(
        provider := FakeCastingProvider(), policy=replace(POLICY, commit=0.3, insist=60.0)
    )
    replace_row = world.tasks.replace
    monkeypatch.setattr("ttsorch._journal._WRITE_PAUSE", 0.1)
    refused = 0

    async def flaky(
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        nonlocal refused
        if task.voice.provider_voice_id and refused < 6:
            refused += 1
            raise StorageUnavailable(code="away")
        return await replace_row(task, generation, expected_version=expected_version, effect=effect)

    monkeypatch.setattr(world.tasks, "replace", flaky)
    async with world.running() as tts:
        if call == "clone":
            await uploaded_and_cloned(tts)
        else:
            assert completed(await polled_to_the_end(tts, await previewed(tts)))
        (job,) = await tts.list_tasks(owner=OWNER)
    assert job.task.voice.provider_voice_id == f"{call}-1"
    assert (refused, provider.ledger.submits) == (6, 1)


async def test_a_double_click_never_hears_that_nothing_was_uploaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one has made the voice, and forgotten the upload, while the second one was looking."""
    world = World(FakeCastingProvider())
    get_voice = world.tasks.get_voice
    begun, go_on = anyio.Event(), anyio.Event()
    answers: list[Voice] = []

    async def slow(owner: str, voice_id: str, *, include_deleted: bool = False) -> Voice | None:
        seen = await get_voice(owner, voice_id, include_deleted=include_deleted)
        begun.set()
        await go_on.wait()
        return seen

    async with world.running() as one, world.running() as other:
        await one.upload_clip(VOICE, CLIP, owner=OWNER)

        async def click() -> None:
            answers.append(await cloned(one))

        async with anyio.create_task_group() as group:
            with monkeypatch.context() as patch:
                patch.setattr(world.tasks, "get_voice", slow)
                group.start_soon(click)
                await begun.wait()
            first = await cloned(other)
            go_on.set()
    assert answers == [first]


@pytest.mark.parametrize("make", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_second_click_that_finds_no_upload_hears_of_the_voice(
    make: type[FakeCastingProvider] | type[FakeDesigningJobProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both were looking at the upload; the first one made the voice and forgot it."""
    world = World(make())
    open_blob = world.blobs.open
    begun, go_on = anyio.Event(), anyio.Event()
    errors: list[TtsorchError] = []

    @asynccontextmanager
    async def slow(key: str) -> AsyncIterator[BlobStream]:
        begun.set()
        await go_on.wait()
        async with open_blob(key) as blob:
            yield blob

    async with world.running() as one, world.running() as other:
        await one.upload_clip(VOICE, CLIP, owner=OWNER)

        async def click() -> None:
            errors.append(await refusal(one))

        async with anyio.create_task_group() as group:
            with monkeypatch.context() as patch:
                patch.setattr(world.blobs, "open", slow)
                group.start_soon(click)
                await begun.wait()
            await cloned(other)
            go_on.set()
    assert [(error.code, error.http_status) for error in errors] == [("voice_exists", 409)]
