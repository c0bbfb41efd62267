"""Recordings: taken in, looked at, kept, and read again for a provider that wants them sent along."""

import hashlib
import logging
import threading
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import anyio
import pytest

from tests.orchestrator.voices import CLIP, VOICE, WORDS, cloned, refusal, uploaded_and_cloned
from tests.orchestrator.world import OWNER, POLICY, World, completed, paused_at, polled_to_the_end
from ttsorch._audio import HEAD, AudioFormat, AudioGate, sniff
from ttsorch._clips import Clips
from ttsorch._keys import upload_key
from ttsorch.capabilities import MAX_CLIP_BYTES
from ttsorch.errors import StorageUnavailable, ValidationError
from ttsorch.models import Capabilities, Job, Phase, SpeechRequest, Status, Voice
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import tone_wav

pytestmark = pytest.mark.anyio

HEADER = tone_wav(0)
OTHER_CLIP = tone_wav(0.25)
FLAC = b"fLaC" + b"\0" * 60
SENDS_CLIP = Capabilities(max_text_chars=10_000, cloning=True, sends_clip=True)
KEY = f"{OWNER}/voices/{VOICE}/clip.wav"


def a_sender(*, direct: bool) -> FakeJobProvider | FakeDirectProvider:
    kind = FakeDirectProvider if direct else FakeJobProvider
    return kind(capabilities=SENDS_CLIP)


async def in_pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        await anyio.lowlevel.checkpoint()
        yield data[start : start + size]


async def stored_clip(world: World, data: bytes = CLIP, key: str = KEY) -> Voice:
    """A voice whose recording is in the blob store, whatever it is."""
    await world.blobs.put(key, in_pieces(data, 1024 * 1024), "audio/wav")
    return Voice(VOICE, "Vera", "fake", OWNER, reference_transcript=WORDS, reference_audio_key=key)


def reads_of(world: World) -> list[str]:
    """The keys of the blobs whose bytes were read, from now on."""
    keys: list[str] = []
    open_blob = world.blobs.open

    def opened(key: str, *, start: int = 0, end: int | None = None) -> object:
        source = open_blob(key, start=start, end=end)
        enter = source.__aenter__

        class Reading:
            async def __aenter__(self) -> object:
                blob = await enter()
                return replace(blob, chunks=noted(key, blob.chunks))

            async def __aexit__(self, *raised: object) -> None:
                await source.__aexit__(None, None, None)

        return Reading()

    async def noted(key: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        keys.append(key)
        async for chunk in chunks:
            yield chunk

    world.blobs.open = opened  # type: ignore[assignment,method-assign]
    return keys


# --- upload -------------------------------------------------------------------------------------------


async def test_an_upload_may_come_in_pieces() -> None:
    """What was uploaded is what the voice keeps, byte for byte; the upload itself is gone then."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, in_pieces(CLIP), owner=OWNER)
        (waiting,) = await world.blob_keys()
        voice = await cloned(tts)
    (kept,) = await world.blob_keys()
    assert waiting.endswith(f"/{VOICE}/upload.bin")
    assert kept == voice.reference_audio_key
    assert f"/{VOICE}/" in kept
    assert kept.endswith(".wav")
    async with world.blobs.open(kept) as blob:
        assert b"".join([chunk async for chunk in blob.chunks]) == CLIP
        assert blob.content_type == "audio/wav"


async def test_only_the_first_upload_counts() -> None:
    """A second one is refused, and changes nothing."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        with pytest.raises(ValidationError) as caught:
            await tts.upload_clip(VOICE, OTHER_CLIP, owner=OWNER)
        await cloned(tts)
    assert (caught.value.code, caught.value.http_status) == ("clip_exists", 409)
    assert [clip and clip.data for clip in provider.ledger.clips] == [CLIP]


@pytest.mark.parametrize("verb", ["upload", "clone"])
@pytest.mark.parametrize(
    "voice_id",
    [
        "",
        "../other",
        "a b",
        "x",
        "\ud800",
        VOICE.upper(),
        VOICE.replace("-", ""),
        f"{{{VOICE}}}",
        f"urn:uuid:{VOICE}",
        f"{VOICE}\n",
    ],
)
async def test_the_id_of_a_voice_is_a_uuid_in_its_usual_form(voice_id: str, verb: str) -> None:
    """Anything else is refused before a byte or a row is kept, so one voice has one spelling."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        verbs = {
            "upload": partial(tts.upload_clip, voice_id, CLIP, owner=OWNER),
            "clone": partial(cloned, tts, voice_id),
        }
        with pytest.raises(ValidationError) as caught:
            await verbs[verb]()  # type: ignore[operator]
        assert await tts.list_tasks(owner=OWNER) == []
    assert (caught.value.code, caught.value.field) == ("voice_id_invalid", "voice_id")
    assert await world.blob_keys() == []


async def test_an_endless_upload_is_cut_off() -> None:
    """No more than a bound is ever taken in, and nothing is kept."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            await anyio.lowlevel.checkpoint()
            taken += 1024 * 1024
            yield bytes(1024 * 1024)

    world = World(FakeCastingProvider())
    async with world.running() as tts:
        with pytest.raises(ValidationError) as caught:
            await tts.upload_clip(VOICE, endless(), owner=OWNER)
    assert (caught.value.code, caught.value.limit) == ("clip_too_large", MAX_CLIP_BYTES)
    assert taken <= 2 * MAX_CLIP_BYTES + 1024 * 1024
    assert await world.blob_keys() == []


# --- accept -------------------------------------------------------------------------------------------


async def test_a_clone_needs_an_upload() -> None:
    """Without one, nothing is sent."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        error = await refusal(tts)
    assert isinstance(error, ValidationError)
    assert (error.code, error.http_status) == ("clip_missing", 400)
    assert provider.ledger.submits == 0


@pytest.mark.parametrize(
    ("upload", "code"),
    [
        (b"", "clip_not_audio"),
        (b"<html>not audio</html>", "clip_not_audio"),
        (CLIP + bytes(MAX_CLIP_BYTES), "clip_too_large"),
    ],
    ids=["empty", "html", "large"],
)
async def test_an_upload_that_is_no_clip_is_refused(upload: bytes, code: str) -> None:
    """Before anything is sent or written; it is forgotten, so the right file may come under the same id."""
    world = World(provider := FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, upload, owner=OWNER)
        error = await refusal(tts)
        assert await tts.list_tasks(owner=OWNER) == []
        assert await world.blob_keys() == []
        assert provider.ledger.submits == 0
        voice = await uploaded_and_cloned(tts)
    assert (error.code, error.http_status) == (code, 400)
    assert voice.provider_voice_id == "clone-1"


async def test_a_clip_may_be_as_large_as_it_may_be() -> None:
    """Ten mebibytes to the byte."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP + bytes(MAX_CLIP_BYTES - len(CLIP)), owner=OWNER)
        assert (await cloned(tts)).reference_audio_key is not None


async def test_a_header_without_samples_passes() -> None:
    """A provider's own rules are the provider's."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, HEADER, owner=OWNER)
        await cloned(tts)
        (job,) = await tts.list_tasks(owner=OWNER)
    assert job.task.audio is not None
    assert (job.task.audio.key, job.task.audio.size) == (
        job.task.voice.reference_audio_key,
        len(HEADER),
    )


@pytest.mark.parametrize("data", [CLIP, CLIP + bytes(MAX_CLIP_BYTES - len(CLIP))])
async def test_no_users_recording_keeps_the_loop_busy(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file made to be slow to measure isn't measured: its head is looked at, and it is hashed off the
    loop, so that every lease and every other user's call lives on."""
    looked_at: list[int] = []
    hashed_in: list[int] = []
    sha256 = hashlib.sha256

    def look(head: bytes) -> AudioFormat | None:
        looked_at.append(len(head))
        return sniff(head)

    def hash_it(content: bytes) -> object:
        if len(content) == len(data):
            hashed_in.append(threading.get_ident())
        return sha256(content)

    async def measured(*args: object, **kwargs: object) -> None:
        raise AssertionError("a recording was measured")

    monkeypatch.setattr("ttsorch._clips.sniff", look)
    monkeypatch.setattr(hashlib, "sha256", hash_it)
    monkeypatch.setattr(AudioGate, "open", measured)
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, data, owner=OWNER)
        await cloned(tts)
        (job,) = await tts.list_tasks(owner=OWNER)
    assert job.task.audio is not None
    assert (job.task.audio.duration, job.task.audio.sha256) == (0.0, sha256(data).hexdigest())
    assert len(looked_at) == 1
    assert looked_at[0] <= HEAD
    assert len(hashed_in) == 1
    assert threading.get_ident() not in hashed_in


async def test_a_format_that_the_provider_does_not_take_is_refused() -> None:
    """Those it takes are named, and one of them may come then; what it takes passes."""
    world = World(FakeDesigningJobProvider(clip_formats=("wav", "mp3")))
    async with world.running() as tts:
        await tts.upload_clip(VOICE, FLAC, owner=OWNER)
        error = await refusal(tts)
        assert (await uploaded_and_cloned(tts)).reference_audio_key is not None
    assert error.code == "clip_format"
    assert error.message.endswith("wav, mp3 only.")

    world = World(FakeDesigningJobProvider(clip_formats=("flac",)))
    async with world.running() as tts:
        await tts.upload_clip(VOICE, FLAC, owner=OWNER)
        key = (await cloned(tts)).reference_audio_key or ""
    assert key.endswith(".flac")


# --- what is sent along -------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [False, True], ids=["job", "direct"])
async def test_the_recording_goes_with_every_request(direct: bool) -> None:
    """It is read once for each submit."""
    world = World(provider := a_sender(direct=direct))
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        read = reads_of(world)
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        job = await polled_to_the_end(tts, job)
    assert completed(job)
    (clip,) = provider.ledger.clips
    assert clip is not None
    assert (clip.data, clip.content_type) == (CLIP, "audio/wav")
    assert [key for key in read if VOICE in key] == [voice.reference_audio_key]


async def test_no_recording_goes_where_none_is_wanted() -> None:
    """A provider that keeps its voices is sent none; nor is a voice without one given one."""
    world = World(keeps := FakeCastingProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        read = reads_of(world)
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        await polled_to_the_end(tts, job)
    assert keeps.ledger.clips[1:] == [None]
    assert read == []

    world = World(sends := a_sender(direct=False))
    async with world.running() as tts:
        assert completed(await polled_to_the_end(tts, await world.submitted(tts)))
    assert sends.ledger.clips == [None]


@pytest.mark.parametrize("direct", [False, True], ids=["job", "direct"])
@pytest.mark.parametrize(
    ("clip", "code"),
    [(None, "voice_audio_missing"), (CLIP + bytes(MAX_CLIP_BYTES), "voice_audio_too_large")],
    ids=["missing", "large"],
)
async def test_a_recording_that_cannot_be_sent_is_refused_before_anything_is_written(
    clip: bytes | None, code: str, direct: bool
) -> None:
    """No row, no call, and no byte of it read."""
    world = World(provider := a_sender(direct=direct))
    voice = await stored_clip(world, clip or CLIP)
    if clip is None:
        await world.blobs.delete(KEY)
    async with world.running() as tts:
        read = reads_of(world)
        with pytest.raises(ValidationError) as caught:
            await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        assert await tts.list_tasks(owner=OWNER) == []
        assert (await tts.history(owner=OWNER)).total == 0
    assert (caught.value.code, caught.value.http_status) == (code, 400)
    assert (provider.ledger.submits, read) == (0, [])


async def test_a_blob_store_that_is_away_keeps_a_request_from_being_taken() -> None:
    """Nothing was written, so the caller may simply try again."""
    world = World(provider := a_sender(direct=False))
    voice = await stored_clip(world)
    away_from_now_on(world)
    async with world.running() as tts:
        with pytest.raises(StorageUnavailable):
            await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        assert await tts.list_tasks(owner=OWNER) == []
    assert provider.ledger.submits == 0


def away_from_now_on(world: World, *, after: int = 0) -> None:
    """The blob store answers ``after`` more reads, and then none until :func:`back`."""
    open_blob = world.blobs.open
    left = after

    def opened(key: str, *, start: int = 0, end: int | None = None) -> object:
        nonlocal left
        if left:
            left -= 1
            return open_blob(key, start=start, end=end)
        raise StorageUnavailable(code="away", detail="injected")

    world.blobs.open = opened  # type: ignore[assignment,method-assign]


def back(world: World) -> None:
    world.blobs.open = MemoryBlobStore.open.__get__(world.blobs)  # type: ignore[method-assign]


async def test_a_recording_that_cannot_be_read_fails_a_job_providers_task() -> None:
    """Its caller is waiting to hear of it. Nothing was sent, and nothing is in doubt."""
    world = World(provider := a_sender(direct=False))
    voice = await stored_clip(world)
    away_from_now_on(world, after=1)
    async with world.running() as tts:
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "clip_unavailable")
    assert job.task.error.detail == "away: injected"
    assert job.generation is not None
    assert job.generation.status is Status.FAILED
    assert (provider.ledger.submits, job.task.outcome_open) == (0, False)


async def test_a_recording_that_cannot_be_read_now_puts_a_direct_task_off() -> None:
    """It is read again later, and then sent."""
    world = World(provider := a_sender(direct=True))
    voice = await stored_clip(world)
    async with world.running() as tts:
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        away_from_now_on(world)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.error is not None
        assert (job.task.phase, job.task.error.code) == (Phase.QUEUED, "clip_unavailable")
        assert (provider.ledger.submits, job.task.outcome_open) == (0, False)
        back(world)
        world.clock.advance(5)
        assert completed(await polled_to_the_end(tts, job))
    assert provider.ledger.submits == 1


async def test_a_recording_that_is_gone_fails_a_direct_task_too() -> None:
    """It won't come back."""
    world = World(provider := a_sender(direct=True))
    voice = await stored_clip(world)
    async with world.running() as tts:
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        await world.blobs.delete(KEY)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "clip_unavailable")
    assert provider.ledger.submits == 0


async def test_a_recording_that_was_swapped_for_a_large_one_is_not_read() -> None:
    """The bound holds again when it is read."""
    world = World(provider := a_sender(direct=True))
    voice = await stored_clip(world)
    async with world.running() as tts:
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        await world.blobs.delete(KEY)
        await stored_clip(world, CLIP + bytes(MAX_CLIP_BYTES))
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "voice_audio_too_large")
    assert provider.ledger.submits == 0


async def test_a_stop_while_the_recording_is_read_puts_the_task_back() -> None:
    """Nothing was sent yet, so the next process may send it at once."""
    world = World(provider := a_sender(direct=True), policy=replace(POLICY, shutdown_grace=0.0))
    voice = await stored_clip(world)
    reading = anyio.Event()

    class Stuck:
        async def __aenter__(self) -> None:
            reading.set()
            await anyio.sleep_forever()

        async def __aexit__(self, *raised: object) -> None: ...

    async with world.running() as tts:
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        world.blobs.open = lambda key, **span: Stuck()  # type: ignore[assignment,method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: tts.poll_once(job.task.id, owner=OWNER))
            await reading.wait()
            group.cancel_scope.cancel()
    job = await world.stored(job)
    assert (job.task.phase, job.task.outcome_open) == (Phase.QUEUED, False)
    back(world)
    async with world.running() as tts:
        assert completed(await polled_to_the_end(tts, job))
    assert provider.ledger.submits == 1


async def test_a_deleted_voices_recording_still_serves_what_is_under_way() -> None:
    """The job holds its own snapshot; the recording is never collected while a voice's row names it."""
    world = World(provider := a_sender(direct=True))
    begun, go_on = paused_at(provider, "submit")
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        job = await tts.submit(SpeechRequest("Hello.", voice), owner=OWNER)
        await tts.delete_voice(VOICE, owner=OWNER)
        go_on.set()
        job = await polled_to_the_end(tts, job)
        world.clock.advance(POLICY.orphan_grace + 1)
        assert await tts.collect_orphans(dry_run=False) == []
    assert begun.is_set()
    assert completed(job)
    assert job.task.voice == voice


async def test_an_upload_that_nobody_cloned_is_collected() -> None:
    """After the grace period; the recordings of voices stay."""
    world = World(FakeDesigningJobProvider())
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        await tts.upload_clip(VOICE, CLIP, owner="somebody else")
        world.clock.advance(POLICY.orphan_grace + 1)
        assert len(await tts.collect_orphans(dry_run=False)) == 1
    assert await world.blob_keys() == [voice.reference_audio_key]


async def test_each_try_has_a_clip_of_its_own() -> None:
    """So that none is as old as an orphan while it is needed; forgetting the upload is harmless twice."""
    clips = Clips(blobs := MemoryBlobStore())
    await clips.upload(upload_key(OWNER, VOICE), CLIP)
    keys = {await clips.accept(VOICE, owner=OWNER, formats=()) for _ in range(2)}
    await clips.forget_upload(VOICE, owner=OWNER)
    await clips.forget_upload(VOICE, owner=OWNER)
    assert len(keys) == 2
    assert {blob.key async for blob in blobs.list("")} == keys


# --- an upload that can't be removed ------------------------------------------------------------------


def keeps_everything(world: World) -> None:
    """From now on the blob store removes nothing."""

    async def delete(key: str) -> None:
        raise StorageUnavailable(code="read_only")

    world.blobs.delete = delete  # type: ignore[method-assign]


@pytest.mark.parametrize("make", [FakeCastingProvider, FakeDesigningJobProvider])
async def test_a_voice_is_there_also_when_its_upload_cannot_be_removed(
    make: type[FakeCastingProvider] | type[FakeDesigningJobProvider],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is made, so its caller gets it; the operator reads why a file stays, and it is collected later."""
    world = World(make())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        keeps_everything(world)
        with caplog.at_level(logging.WARNING, "ttsorch"):
            voice = await cloned(tts)
        assert await tts.find_voice(VOICE, owner=OWNER) == voice
        del world.blobs.delete
        world.clock.advance(POLICY.orphan_grace + 1)
        assert len(await tts.collect_orphans(dry_run=False)) == 1
    assert caplog.messages == ["a recording stays for collect_orphans: read_only"]
    assert await world.blob_keys() == [voice.reference_audio_key]


async def test_a_refused_upload_that_cannot_be_removed_is_refused_as_what_it_is() -> None:
    """The caller hears what is wrong with the file, not what is wrong with our storage."""
    world = World(FakeCastingProvider())
    async with world.running() as tts:
        await tts.upload_clip(VOICE, b"<html>", owner=OWNER)
        keeps_everything(world)
        assert (await refusal(tts)).code == "clip_not_audio"


# --- how many are held at once ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["clones", "submits"])
async def test_only_so_many_calls_hold_a_recording_at_once(what: str) -> None:
    """A recording is megabytes: the rest wait without having read theirs, and all come to their end."""
    provider = FakeCastingProvider() if what == "clones" else a_sender(direct=False)
    world = World(provider, policy=replace(POLICY, clip_concurrency=2))
    ids = [str(uuid.uuid4()) for _ in range(5)]
    async with world.running() as tts:
        voice = await stored_clip(world)
        if what == "clones":
            for voice_id in ids:
                await tts.upload_clip(voice_id, CLIP, owner=OWNER)
        begun, go_on = paused_at(provider, "clone" if what == "clones" else "submit")
        async with anyio.create_task_group() as group:
            for voice_id in ids:
                if what == "clones":
                    group.start_soon(cloned, tts, voice_id)
                else:
                    group.start_soon(partial(tts.submit, SpeechRequest("Hi.", voice), owner=OWNER))
            await begun.wait()
            await anyio.wait_all_tasks_blocked()
            held = provider.ledger.submits
            go_on.set()
    assert (held, provider.ledger.submits) == (2, 5)


async def test_a_call_without_a_recording_waits_for_none() -> None:
    """Speech of a provider that keeps its voices goes on while every place for recordings is taken."""
    world = World(provider := FakeCastingProvider(), policy=replace(POLICY, clip_concurrency=1))
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(cloned, tts)
            await begun.wait()
            with anyio.fail_after(5):
                assert completed(await polled_to_the_end(tts, await world.submitted(tts)))
            go_on.set()


async def test_a_call_that_waited_for_room_until_its_deadline_is_not_made() -> None:
    """Nothing has left, so nothing is unknown."""
    policy = replace(POLICY, clip_concurrency=1)
    world = World(provider := a_sender(direct=False), policy=policy)
    begun, go_on = paused_at(provider, "submit")
    jobs: list[Job] = []
    async with world.running() as tts:
        voice = await stored_clip(world)

        async def submit() -> None:
            jobs.append(await tts.submit(SpeechRequest("Hi.", voice), owner=OWNER))

        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await begun.wait()
            group.start_soon(submit)
            await anyio.wait_all_tasks_blocked()
            world.clock.advance(policy.finish_within + policy.accept_within)
            go_on.set()
    late = jobs[-1].task
    assert provider.ledger.submits == 1
    assert late.status is Status.FAILED
    assert late.error is not None
    assert (late.error.code, late.outcome_open) == ("accept_deadline_passed", False)
