"""Making a voice of a recording: one paid call at most, and a voice that is never lost once it is made."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.orchestrator.voices import (
    CLIP,
    OTHER_VOICE,
    VOICE,
    WORDS,
    cloned,
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
    crashing,
    paused_at,
    polled_to_the_end,
)
from ttsorch.errors import (
    NotFound,
    ProviderBusy,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    StorageUnavailable,
    TaskCancelled,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import OnUnknown, Phase, SpeechRequest, Status, TaskKind, Voice, VoiceSource
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, lost_reply
from ttsorch.testing.faults import Fault, FaultPlan
from ttsorch.testing.invariants import check_blobs, check_ledger, check_rows

pytestmark = pytest.mark.anyio

MOST_PLACES = 60


# --- a provider that only sends the recording along ---------------------------------------------------


async def test_a_voice_that_is_its_recording_costs_no_call() -> None:
    """The voice is its recording and its words; the provider hears of it with the first request."""
    world = World(provider := FakeDesigningJobProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice

    assert (voice.id, voice.name, voice.owner) == (VOICE, "Vera", OWNER)
    assert (voice.source, voice.tts_provider) == (VoiceSource.UPLOADED, "fake")
    assert (voice.reference_transcript, voice.provider_voice_id) == (WORDS, None)
    assert await world.blob_keys() == [voice.reference_audio_key]
    assert (provider.ledger.submits, await world.tasks.list_tasks(OWNER)) == (0, [])


async def test_a_voice_is_made_once() -> None:
    """A second clone of the same id is refused, whoever was first, and its audio is kept."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        error = await refusal(tts)
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await tts.delete_voice(VOICE, owner=OWNER)
        after_delete = await refusal(tts)
        with pytest.raises(NotFound):
            await tts.find_voice(VOICE, owner=OWNER)

    assert (error.code, error.http_status) == ("voice_exists", 409)
    assert after_delete.code == "voice_exists"
    assert voice.reference_audio_key in await world.blob_keys()


# --- a provider that keeps voices ---------------------------------------------------------------------


async def test_a_clone_is_one_call_and_one_voice() -> None:
    """The provider gets the recording and its words; the voice says how the provider knows it."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice
        (task,) = await tasks_of(world, TaskKind.CLONE)

    (made,) = provider.ledger.voices
    (clip,) = provider.ledger.clips
    assert clip is not None
    assert (clip.data, clip.content_type) == (CLIP, "audio/wav")
    assert (made.kind, made.key, made.id) == ("clone", task.id, voice.provider_voice_id)
    assert (voice.provider_target_model, voice.provider_voice_kind) == ("model-1", "clone")
    assert task.status is Status.COMPLETED
    assert task.voice == voice
    assert task.audio is not None
    assert (task.audio.key, task.audio.size) == (voice.reference_audio_key, len(CLIP))
    assert (task.envelope, dict(task.receipt or {})["usage"]) == (None, {"voices": 1})
    assert await world.blob_keys() == [voice.reference_audio_key]


async def test_the_source_and_the_description_are_the_hosts() -> None:
    """A designed voice may come as a recording: a v1 client saves designs that way."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        voice = await tts.clone_voice(
            VOICE, name="Vera", owner=OWNER, source=VoiceSource.DESIGNED, description="Calm."
        )
    assert (voice.source, voice.description, voice.reference_transcript) == (
        VoiceSource.DESIGNED,
        "Calm.",
        None,
    )


async def test_a_voice_is_spoken_with_as_the_provider_knows_it() -> None:
    """The clone's own provider takes it in a request; deleting it leaves that job as it is."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        await tts.delete_voice(VOICE, owner=OWNER)
        await tts.delete_voice(VOICE, owner=OWNER)
        job = await polled_to_the_end(tts, job)
    assert completed(job)
    assert job.task.voice == voice
    assert job.generation is not None
    assert job.generation.voice_name == "Vera"


@pytest.mark.parametrize("direct", [True, False], ids=["kept there", "its recording"])
async def test_clones_at_once_leave_one_recording(direct: bool) -> None:
    """Each caller has made a copy of ten megabytes, perhaps; who comes second takes its own away again."""
    world = World(FakeCastingProvider() if direct else FakeDesigningJobProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(refusal_or_voice, tts)
        voice = await tts.find_voice(VOICE, owner=OWNER)
        assert await world.blob_keys() == [voice.reference_audio_key]


async def refusal_or_voice(tts: Orchestrator) -> None:
    try:
        await cloned(tts)
    except ValidationError as error:
        if error.code != "voice_exists":
            raise


async def test_a_clone_that_is_refused_leaves_the_upload_alone() -> None:
    """However often it is asked for while the provider is paused, nothing piles up; and then it is made."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        (upload,) = await world.blob_keys()
        await tts.pause_provider(world.provider.name, seconds=60)
        for _ in range(3):
            with pytest.raises(ProviderBusy):
                await cloned(tts)
        assert await world.blob_keys() == [upload]
        world.clock.advance(60)
        voice = await cloned(tts)
    assert await world.blob_keys() == [voice.reference_audio_key]


async def test_a_copy_is_left_where_nobody_can_say_whether_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is no reason to fail, and goes with the orphans."""
    world = World(FakeDesigningJobProvider())

    async def away(keys: Sequence[str]) -> Sequence[str]:
        raise StorageUnavailable(detail="injected")

    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        monkeypatch.setattr(world.tasks, "unreferenced", away)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(refusal_or_voice, tts)
        monkeypatch.undo()
        world.clock.advance(POLICY.orphan_grace + 1)
        assert len(await tts.collect_orphans(dry_run=False)) == 2
    assert len(await world.blob_keys()) == 1


async def test_a_copy_that_a_row_names_all_the_same_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the insert of a voice got lost, and the store's own second try found it taken."""
    world = World(FakeDesigningJobProvider())
    add = world.tasks.add_voice

    async def twice(voice: Voice, *, of_task: str | None = None) -> bool:
        await add(voice, of_task=of_task)
        return await add(voice, of_task=of_task)

    async with world.running() as tts:
        monkeypatch.setattr(world.tasks, "add_voice", twice)
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal_or_voice(tts)
        voice = await tts.find_voice(VOICE, owner=OWNER)
        assert voice.reference_audio_key in await world.blob_keys()


async def test_clones_at_once_share_one_call() -> None:
    """A double click: both get the voice, one is paid."""
    world = World(provider := FakeCastingProvider())
    names: list[str | None] = []
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)

        async def clone() -> None:
            names.append((await cloned(tts)).provider_voice_id)

        async with anyio.create_task_group() as group:
            group.start_soon(clone)
            await begun.wait()
            group.start_soon(clone)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
    assert names == ["clone-1", "clone-1"]
    assert provider.ledger.submits == 1


async def test_a_clone_that_another_process_makes_is_waited_for() -> None:
    """The other's call is under way: the caller is told to come back, and nothing is sent."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as first, world.running() as second:
        await first.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(cloned, first)
            await begun.wait()
            error = await refusal(second)
            go_on.set()
    assert isinstance(error, ProviderUnavailable)
    assert (error.code, error.retry_after) == ("voice_in_progress", POLICY.lease)
    assert provider.ledger.submits == 1


async def test_a_caller_that_goes_away_still_has_its_voice_made() -> None:
    """The call goes on to its end without the one who asked for it."""
    world = World(provider := FakeCastingProvider())
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(cloned, tts)
            await begun.wait()
            group.cancel_scope.cancel()
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        assert (await tts.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"


# --- what it is refused for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": " "}, "voice_name_required"),
        ({"name": "x" * 101}, "voice_name_too_long"),
        ({"name": "\U0001f600" * 51}, "voice_name_too_long"),
        ({"name": "a\0"}, "text_encoding"),
        ({"transcript": "a\0"}, "text_encoding"),
        ({"transcript": "x" * 10_001}, "transcript_too_long"),
        ({"transcript": "\U0001f600" * 5_001}, "transcript_too_long"),
        ({"description": "a\0"}, "text_encoding"),
        ({"description": "x" * 2049}, "description_too_long"),
        ({"source": VoiceSource.BUILTIN}, "source_invalid"),
        ({"language": "\ud800"}, "text_encoding"),
        ({"language": "Klingon"}, "language_unsupported"),
    ],
)
async def test_what_cannot_be_kept_is_refused(changes: dict[str, Any], code: str) -> None:
    """Before anything is written or sent."""
    provider = FakeCastingProvider()
    provider.capabilities = replace(provider.capabilities, languages=("English",))
    world = World(provider)
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with pytest.raises(ValidationError) as caught:
            await tts.clone_voice(VOICE, **{"name": "Vera", "owner": OWNER, **changes})
        assert [key.rpartition("/")[2] for key in await world.blob_keys()] == ["upload.bin"]
        assert await tts.list_tasks(owner=OWNER) == []
    assert caught.value.code == code
    assert provider.ledger.submits == 0


async def test_words_may_be_as_long_as_they_may_be() -> None:
    """In UTF-16 code units: a name 100, a transcript 10,000, a description 2048; a language in any case."""
    provider = FakeCastingProvider()
    provider.capabilities = replace(provider.capabilities, languages=("English",))
    world = World(provider)
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        voice = await tts.clone_voice(
            VOICE,
            name="x" * 100,
            owner=OWNER,
            language="ENGLISH",
            transcript="\U0001f600" * 5_000,
            description="x" * 2048,
        )
    assert (len(voice.name), voice.language) == (100, "English")
    assert (len(voice.reference_transcript or ""), len(voice.description or "")) == (5_000, 2048)


@pytest.mark.parametrize("transcript", [None, "", " \n"])
async def test_the_words_are_required_where_they_are_sent_along(transcript: str | None) -> None:
    """And are None, not blank, where the provider needs none."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with pytest.raises(ValidationError) as caught:
            await cloned(tts, transcript=transcript)
    assert (caught.value.code, caught.value.field) == ("transcript_required", "transcript")

    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        assert (await cloned(tts, transcript=transcript)).reference_transcript is None


async def test_a_provider_that_cannot_clone_takes_no_recording() -> None:
    """Neither the upload nor the clone; nor does an orchestrator without a voice store."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        for call in (tts.upload_clip(VOICE, CLIP, owner=OWNER), cloned(tts)):
            with pytest.raises(ValidationError) as caught:
                await call
            assert (caught.value.code, caught.value.http_status) == ("cloning_unsupported", 409)
    async with voiceless(world, FakeCastingProvider()) as tts:
        for call in (tts.upload_clip(VOICE, CLIP, owner=OWNER), cloned(tts)):
            with pytest.raises(ValidationError) as caught:
                await call
            assert (caught.value.code, caught.value.http_status) == ("voices_not_kept", 409)
        with pytest.raises(NotFound):
            await tts.delete_voice(VOICE, owner=OWNER)
    assert await world.blob_keys() == []


def voiceless(world: World, provider: FakeCastingProvider) -> Orchestrator:
    """A process whose host keeps no voices."""
    return Orchestrator(
        provider=provider,
        tasks=world.tasks,
        blobs=world.blobs,
        policy=world.policy,
        background=False,
    )


# --- other owners -------------------------------------------------------------------------------------


async def test_a_strangers_recording_and_voice_do_not_exist() -> None:
    """Nothing of them can be cloned, found or deleted."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        assert (await refusal(tts, owner=STRANGER)).code == "clip_missing"
        voice = await cloned(tts)
        assert (await refusal(tts, owner=STRANGER)).code == "clip_missing"
        with pytest.raises(NotFound):
            await tts.find_voice(VOICE, owner=STRANGER)
        with pytest.raises(NotFound):
            await tts.delete_voice(VOICE, owner=STRANGER)
        with pytest.raises(NotFound):
            await tts.submit(SpeechRequest("Hi.", voice), owner=STRANGER)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice
    assert provider.ledger.submits == 1


@pytest.mark.parametrize("make", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_stranger_cannot_take_an_id_over(
    make: type[FakeCastingProvider] | type[FakeDesigningJobProvider],
) -> None:
    """Not even with a recording of their own: the first one's voice and recording stay as they are."""
    world = World(make())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        with pytest.raises(TtsorchError) as caught:
            await uploaded_and_cloned(tts, owner=STRANGER)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice
        with pytest.raises(NotFound):
            await tts.find_voice(VOICE, owner=STRANGER)
        for task in await tasks_of(world, TaskKind.CLONE, owner=STRANGER):
            assert task.voice.provider_voice_id is not None
    assert (caught.value.code, caught.value.message) == (
        "voice_exists",
        "This voice exists already.",
    )


async def test_a_deleted_voice_is_not_made_again() -> None:
    """Its id stays taken, as it does where a clone makes no call: no second call, and no voice."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await uploaded_and_cloned(tts)
        await tts.delete_voice(VOICE, owner=OWNER)
        with pytest.raises(ValidationError) as refused:
            await uploaded_and_cloned(tts)
    assert refused.value.code == "voice_exists"
    assert provider.ledger.submits == 1


# --- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ProviderRejected(code="moderated"), ProviderRejected),
        (ProviderInvalid("The recording is too short."), ProviderInvalid),
        (ProviderUnavailable(code="broke", retryable=False), ProviderUnavailable),
    ],
)
async def test_a_clone_that_surely_failed_may_be_repeated(
    error: TtsorchError, raised: type[TtsorchError]
) -> None:
    """The caller hears the provider's reason; the next try is a task, and a call, of its own."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(error)
    async with world.running() as tts:
        with pytest.raises(raised) as caught:
            await uploaded_and_cloned(tts)
        assert caught.value.code == error.code
        world.clock.advance(1)
        voice = await cloned(tts)
        first, second = await tasks_of(world, TaskKind.CLONE)
    assert (first.status, second.status) == (Status.FAILED, Status.COMPLETED)
    assert first.id != second.id
    assert (provider.ledger.submits, len(provider.ledger.voices)) == (2, 1)
    assert voice.provider_voice_id == "clone-1"


async def test_a_clone_whose_outcome_nobody_knows_is_never_sent_again() -> None:
    """However often it is asked for, now and after the grace period; operators find it."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(lost_reply())
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable, match="still being made"):
            await uploaded_and_cloned(tts)
        assert (await refusal(tts)).code == "voice_in_progress"
        world.clock.advance(POLICY.unknown_grace + 1)
        for _ in range(2):
            error = await refusal(tts)
            assert isinstance(error, ProviderTimeout)
            assert error.code == "submission_outcome_unknown"
        (task,) = await tasks_of(world, TaskKind.CLONE)
    assert provider.ledger.submits == 1
    assert [job.task.id for job in await world.tasks.list_unknown()] == [task.id]


async def test_a_try_that_may_have_been_paid_for_counts_when_an_earlier_one_was_purged() -> None:
    """Tries are numbered. A purge of their owner that was cut off has taken the first, and not the last."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderRejected(code="moderated"))
    provider.script.clone_reply_lost.append(lost_reply())
    async with world.running() as tts:
        with pytest.raises(ProviderRejected):
            await uploaded_and_cloned(tts)
        assert (await refusal(tts)).code == "voice_in_progress"
        world.clock.advance(POLICY.unknown_grace + 1)
        assert (await refusal(tts)).code == "submission_outcome_unknown"
        await world.tasks.purge_owned(OWNER, limit=1)
        (left,) = await tasks_of(world, TaskKind.CLONE)
        assert left.error is not None
        assert left.error.code == "submission_outcome_unknown"
        assert (await refusal(tts)).code == "submission_outcome_unknown"
    assert provider.ledger.submits == 2


async def test_a_host_may_allow_a_second_clone() -> None:
    """With on_unknown="resubmit"; the rows count it as what it is."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone_reply_lost.append(lost_reply())
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        voice = await uploaded_and_cloned(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
    assert (task.resubmits, provider.ledger.submits) == (1, 2)
    assert voice.provider_voice_id == "clone-2"


async def test_a_clone_that_could_not_begin_is_tried_again_by_the_sweep() -> None:
    """A busy provider: the caller is told to come back, and the same task is sent again."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable(retry_after=7.0))
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable) as caught:
            await uploaded_and_cloned(tts)
        world.clock.advance(8)
        await tts.sweep_once()
        (task,) = await tasks_of(world, TaskKind.CLONE)
        assert (await tts.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"
    assert caught.value.code == "voice_in_progress"
    assert (task.attempts, task.status) == (2, Status.COMPLETED)


async def test_a_cancelled_clone_that_never_began_may_be_repeated() -> None:
    """It was put off and then cancelled: nothing was made, so it may be asked for again."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable())
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        await tts.cancel(task.id, owner=OWNER)
        assert (await cloned(tts)).provider_voice_id == "clone-1"
    assert provider.ledger.accepted_for(task.id) == 0


async def test_a_cancelled_clone_whose_call_was_under_way_is_listed() -> None:
    """The call is stopped, nobody knows what it did, operators find it, and it isn't sent again."""
    world = World(provider := FakeCastingProvider())
    begun, _ = paused_at(provider, "clone")
    raised: list[TtsorchError] = []
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)

        async def clone() -> None:
            raised.append(await refusal(tts))

        async with anyio.create_task_group() as group:
            group.start_soon(clone)
            await begun.wait()
            (task,) = await tasks_of(world, TaskKind.CLONE)
            await tts.cancel(task.id, owner=OWNER)
        provider.script.pause = lambda call: None
        again = await refusal(tts)
    assert [type(error) for error in (*raised, again)] == [TaskCancelled, TaskCancelled]
    assert [job.task.id for job in await world.tasks.list_unknown()] == [task.id]
    assert (provider.ledger.submits, provider.ledger.in_flight) == (1, 0)


async def test_a_clone_that_lost_its_recording_ends() -> None:
    """The draft waits for a busy provider while its recording disappears: nothing is sent."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable())
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
        await world.blobs.delete(task.voice.reference_audio_key or "")
        job = await tts.step(task.id, owner=OWNER)
    assert (job.task.status, job.task.error and job.task.error.code) == (
        Status.FAILED,
        "clip_unavailable",
    )
    assert provider.ledger.submits == 1


async def test_a_provider_that_lost_its_power_fails_what_waits_for_it() -> None:
    """A process whose provider can't clone any more says so, and sends nothing."""
    world = World(provider := FakeCastingProvider())
    provider.script.clone.append(ProviderUnavailable())
    async with world.running() as tts:
        with pytest.raises(ProviderUnavailable):
            await uploaded_and_cloned(tts)
        (task,) = await tasks_of(world, TaskKind.CLONE)
    world.provider = lesser = FakeDirectProvider()
    async with world.running() as tts:
        job = await tts.step(task.id, owner=OWNER)
    assert (job.task.status, job.task.error and job.task.error.code) == (
        Status.FAILED,
        "unsupported",
    )
    assert lesser.ledger.submits == 0


# --- crashes ------------------------------------------------------------------------------------------


async def answered_but_not_added() -> World:
    """A clone whose process dies between the provider's answer, which is on the row, and the voice."""
    for place in range(1, MOST_PLACES):
        plan = FaultPlan(Fault.CRASH, at=place)
        world = World(FakeCastingProvider())
        async with crashing(), world.running(plan=plan) as tts:
            await uploaded_and_cloned(tts)
        if plan.broken == "add_voice":
            return world
    raise AssertionError("no voice was ever added")


async def test_the_sweep_finishes_a_voice_that_a_crash_left_half_made() -> None:
    """The voice is on the row; the next sweep adds it, and nothing is sent."""
    world = await answered_but_not_added()
    (task,) = await tasks_of(world, TaskKind.CLONE)
    assert (task.phase, task.voice.provider_voice_id) == (Phase.READY, "clone-1")
    async with world.running() as tts:
        await tts.sweep_once()
        voice = await tts.find_voice(VOICE, owner=OWNER)
        (task,) = await tasks_of(world, TaskKind.CLONE)
    assert (task.status, task.voice) == (Status.COMPLETED, voice)


async def test_a_repeated_clone_finishes_what_a_crash_left_half_made() -> None:
    """The caller whose answer got lost gets the voice that was made."""
    world = await answered_but_not_added()
    async with world.running() as tts:
        assert (await cloned(tts)).provider_voice_id == "clone-1"
    assert [task.attempts for task in await tasks_of(world, TaskKind.CLONE)] == [1]


@pytest.mark.parametrize("end", ["deadline", "cancel"])
async def test_a_voice_that_was_paid_for_is_not_paid_for_again(end: str) -> None:
    """Its task ended before the voice was added: a repeated clone adds the one on the row."""
    world = await answered_but_not_added()
    async with world.running() as tts:
        (task,) = await tasks_of(world, TaskKind.CLONE)
        if end == "cancel":
            ended = await tts.cancel(task.id, owner=OWNER)
        else:
            world.clock.advance(POLICY.finish_within * 2)
            ended = await tts.step(task.id, owner=OWNER)
        assert ended.task.status in (Status.CANCELLED, Status.FAILED)
        voice = await cloned(tts)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice
    assert voice.provider_voice_id == "clone-1"
    assert len(await tasks_of(world, TaskKind.CLONE)) == 1


async def test_a_process_without_voices_leaves_the_voice_to_one_that_has_them() -> None:
    """It takes the task no further, and loses nothing."""
    world = await answered_but_not_added()
    async with voiceless(world, FakeCastingProvider()) as tts:
        assert (await tts.sweep_once()).failed == 0
    (task,) = await tasks_of(world, TaskKind.CLONE)
    assert task.phase is Phase.READY
    world.clock.advance(POLICY.lease + 1)
    async with world.running() as tts:
        await tts.sweep_once()
        assert (await tts.find_voice(VOICE, owner=OWNER)).provider_voice_id == "clone-1"


async def insist(tts: Orchestrator) -> None:
    """Upload and clone, going on after an error as a client does."""
    for _ in range(3):
        try:
            await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        except TtsorchError:
            pass
        try:
            await cloned(tts)
        except TtsorchError:
            continue


async def check_the_bill(world: World, provider: FakeCastingProvider) -> None:
    """At most one voice was made, and whatever was made is on a row or listed as unknown."""
    jobs = await world.tasks.list_tasks(OWNER, limit=50)
    for job in jobs:
        assert job.task.status.terminal, f"stuck in {job.task.phase}"
        check_rows(job)
        check_ledger(job, provider)
    await check_blobs(jobs, world.blobs)
    assert len(provider.ledger.voices) <= 1
    unknown = {job.task.id for job in await world.tasks.list_unknown()}
    on_rows = {job.task.voice.provider_voice_id for job in jobs}
    for made in provider.ledger.voices:
        assert made.id in on_rows or made.key in unknown
    voice = await world.tasks.get_voice(OWNER, VOICE)
    assert voice is not None or unknown, "neither a voice nor a reason"
    if voice is not None:
        assert voice.provider_voice_id in {made.id for made in provider.ledger.voices}
        assert voice.reference_audio_key in await world.blob_keys()


@pytest.mark.parametrize("fault", Fault)
async def test_a_clone_survives_a_fault_at_every_place(fault: Fault) -> None:
    """One voice is made at most, none is lost, and a client that insists gets it or is told why not."""
    broken: list[str | None] = []
    for place in range(1, MOST_PLACES):
        world = World(provider := FakeCastingProvider())
        plan = FaultPlan(fault, at=place)
        async with crashing(), world.running(plan=plan) as tts:
            with anyio.CancelScope() as scope:
                plan.scope = scope
                await insist(tts)
        async with world.running() as tts:
            for seconds in (1, 20, 120, 600, 3600):
                world.clock.advance(seconds)
                await tts.sweep_once()
            await insist(tts)
        await check_the_bill(world, provider)
        if not plan.struck:
            break
        broken.append(plan.broken)
    assert {"put", "open", "create", "clone", "replace", "add_voice", "delete"} <= set(broken)


@pytest.mark.parametrize("fault", Fault)
async def test_a_voice_without_a_call_survives_a_fault_at_every_place(fault: Fault) -> None:
    """A client that insists gets the voice, and its recording is there."""
    for place in range(1, MOST_PLACES):
        world = World(FakeDesigningJobProvider())
        plan = FaultPlan(fault, at=place)
        async with crashing(), world.running(plan=plan) as tts:
            with anyio.CancelScope() as scope:
                plan.scope = scope
                await insist(tts)
        async with world.running() as tts:
            await insist(tts)
            voice = await tts.find_voice(VOICE, owner=OWNER)
            world.clock.advance(POLICY.orphan_grace + 1)
            await tts.collect_orphans(dry_run=False)
        assert await world.blob_keys() == [voice.reference_audio_key]
        if not plan.struck:
            break
    assert place > 5


async def test_a_second_voice_is_a_task_of_its_own() -> None:
    """Two ids, two calls, two voices."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        voices = [await uploaded_and_cloned(tts, each) for each in (VOICE, OTHER_VOICE)]
    assert [voice.provider_voice_id for voice in voices] == ["clone-1", "clone-2"]
    assert len(provider.ledger.accepted) == 2


async def test_a_store_that_fails_before_the_task_is_written_sends_nothing() -> None:
    """The caller hears it, and tries again."""
    world = World(provider := FakeCastingProvider())
    create = world.tasks.create

    async def away(*args: object, **kwargs: object) -> None:
        raise StorageUnavailable(detail="injected")

    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        world.tasks.create = away  # type: ignore[assignment,method-assign]
        with pytest.raises(StorageUnavailable):
            await cloned(tts)
        world.tasks.create = create  # type: ignore[method-assign]
        assert provider.ledger.submits == 0
        assert (await cloned(tts)).provider_voice_id == "clone-1"
