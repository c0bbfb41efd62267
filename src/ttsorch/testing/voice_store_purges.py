"""The part of the voice store's suite about purges: what needs both rows and voices."""

from dataclasses import replace

from ttsorch.models import Job, Purged, TaskKind
from ttsorch.protocols import TaskStore
from ttsorch.store import TaskAndVoiceStore
from ttsorch.testing.purgeable_jobs import (
    HOUR,
    LONG_AGO,
    are_there,
    ended_job,
    moved_on,
    purged_by_age,
)
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    audio_key,
    cancelled,
    completed,
    new_clone,
    new_preview,
    owing,
    race,
    voice_made,
)


def _preview(store: TaskStore, *, owner: str = ANNA) -> Job:
    job = new_preview(store.now() - LONG_AGO, owner=owner)
    return Job(replace(job.task, voice=new_clone(store.now(), owner=owner).task.voice), None)


class VoicePurgeCases:
    """What needs both rows and voices: a part of the voice store's suite."""

    async def test_a_clone_is_purged_once_its_voice_is_there(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Until then its row keeps the voice from being paid for again. A deleted voice counts, another
        owner's doesn't."""
        names = ("failed", "made", "of another", "kept", "deleted")
        clones = {name: new_clone(store.now() - LONG_AGO) for name in names}
        for name, clone in clones.items():
            made = cancelled if name == "failed" else _made_and_ended
            await moved_on(store, clone, made)
        for name in ("of another", "kept", "deleted"):
            owner = BEN if name == "of another" else ANNA
            assert await store.add_voice(replace(clones[name].task.voice, owner=owner))
        await store.delete_voice(ANNA, clones["deleted"].task.voice.id)
        assert await purged_by_age(store, audio=True) == Purged(tasks=2)
        there = await are_there(store, list(clones.values()))
        assert there == [True, True, True, False, False]

    async def test_a_preview_can_be_saved_until_its_audio_is_purged(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Contract R17: its row stays with its audio, unless the voice was saved, or audio is to go."""
        unsaved, saved, failed = (_preview(store) for _ in range(3))
        await moved_on(store, unsaved, completed)
        await moved_on(store, saved, completed)
        await moved_on(store, failed, cancelled)
        voice = replace(saved.task.voice, reference_audio_key=audio_key(saved))
        assert await store.add_voice(voice, of_task=saved.task.id)
        assert await purged_by_age(store) == Purged(tasks=2)
        assert await are_there(store, [unsaved, saved, failed]) == [True, False, False]
        assert await store.unreferenced([audio_key(unsaved), audio_key(saved)]) == []
        assert await purged_by_age(store, audio=True) == Purged(tasks=1, keys=(audio_key(unsaved),))
        assert await store.unreferenced([audio_key(unsaved), audio_key(saved)]) == [
            audio_key(unsaved)
        ]

    async def test_what_has_to_stay_does_not_hide_the_others(
        self, store: TaskAndVoiceStore
    ) -> None:
        """However many older rows are kept, a page is filled with what can go."""
        for _ in range(5):
            await moved_on(store, _preview(store), completed)
            await ended_job(store, move=owing)
        await ended_job(store)
        await moved_on(store, _preview(store), cancelled)
        assert (await purged_by_age(store, limit=2)).tasks == 2

    async def test_an_owners_voices_are_purged(self, store: TaskAndVoiceStore) -> None:
        """Hidden ones too, with their recordings, and what unfinished business left of others."""
        kept, hidden, foreign = (new_clone(store.now()).task.voice for _ in range(3))
        assert await store.add_voice(kept)
        assert await store.add_voice(hidden)
        assert await store.add_voice(replace(foreign, owner=BEN))
        await store.delete_voice(ANNA, hidden.id)
        preview = await moved_on(store, _preview(store), completed)
        clone = await moved_on(store, new_clone(store.now()), cancelled)
        purged = await store.purge_owned(ANNA, limit=10)
        assert (purged.voices, purged.tasks) == (2, 2)
        assert set(purged.keys) == {
            kept.reference_audio_key,
            hidden.reference_audio_key,
            audio_key(preview),
            clone.task.voice.reference_audio_key,
        }
        assert await store.get_voice(ANNA, kept.id, include_deleted=True) is None
        assert await store.get_voice(ANNA, hidden.id, include_deleted=True) is None
        assert await store.get_voice(BEN, foreign.id) is not None

    async def test_a_voice_comes_only_of_a_task_that_is_there(
        self, store: TaskAndVoiceStore
    ) -> None:
        """A hidden one will do, another owner's will not, and one that was purged brings none."""
        hers, his = _preview(store), _preview(store, owner=BEN)
        for job in (hers, his):
            await moved_on(store, job, completed)
        await store.delete_task(ANNA, hers.task.id)
        voice = hers.task.voice
        assert not await store.add_voice(voice, of_task="missing")
        assert not await store.add_voice(voice, of_task=his.task.id)
        assert await store.get_voice(ANNA, voice.id) is None
        assert await store.add_voice(voice, of_task=hers.task.id)
        assert not await store.add_voice(voice, of_task=hers.task.id)
        await store.purge_owned(ANNA, limit=10)
        assert not await store.add_voice(voice, of_task=hers.task.id)

    async def test_saves_and_a_purge_at_once_leave_no_voice_without_audio(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Each voice that was added is there with what it names, or was purged with it."""
        previews = [_preview(store) for _ in range(10)]
        for preview in previews:
            await moved_on(store, preview, completed)
        erased: set[str] = set()

        async def either(number: int) -> None:
            if number % 2:
                purged = await store.purge_ended(older_than=HOUR, limit=3, audio=True)
                erased.update(await store.unreferenced(purged.keys))
            else:
                task = previews[number // 2].task
                voice = replace(task.voice, reference_audio_key=audio_key(previews[number // 2]))
                await store.add_voice(voice, of_task=task.id)

        await race(either, 2 * len(previews))
        for voice in (await store.list_voices(ANNA)).items:
            assert voice.reference_audio_key not in erased

    async def test_speech_tasks_and_voice_tasks_are_purged_alike(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Each kind of task counts for itself up to the limit."""
        for _ in range(3):
            await ended_job(store)
            await moved_on(store, _preview(store), cancelled)
        page = await purged_by_age(store, limit=2)
        assert (page.tasks, page.more) == (4, True)
        kinds = {job.task.kind for job in await store.list_tasks(ANNA)}
        assert kinds == {TaskKind.GENERATE, TaskKind.DESIGN_PREVIEW}


def _made_and_ended(job: Job, now: object) -> Job:
    moment = job.task.created_at
    return cancelled(voice_made(job, moment), moment)
