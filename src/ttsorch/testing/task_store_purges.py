"""The part of the task store's suite about purges: by age over all owners, and of one owner."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from ttsorch.models import Effect, EffectState, Job, Purged, TaskKind
from ttsorch.protocols import TaskStore
from ttsorch.states import CancelSettled
from ttsorch.store import TaskAndVoiceStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    audio_key,
    cancelled,
    completed,
    generation_of,
    ids,
    moved,
    new_clone,
    new_job,
    new_preview,
    owing,
    race,
    ready,
    running,
    started,
    stored,
    unanswered,
    voice_made,
)

_HOUR = 3600.0
_LONG_AGO = timedelta(hours=2)
_OF_LATE = timedelta(minutes=30)


def _unanswered_end(job: Job, now: object) -> Job:
    moment = job.task.created_at
    return cancelled(unanswered(job, moment), moment)


async def _ended(
    store: TaskStore,
    *,
    age: timedelta = _LONG_AGO,
    owner: str = ANNA,
    move: Move = completed,
    key: str | None = None,
    effect: EffectState | None = None,
) -> Job:
    """A job that began and ended so long ago, and what its end left to be told."""
    return await _moved_on(
        store, new_job(store.now() - age, owner=owner, idempotency_key=key), move, effect
    )


async def _moved_on(
    store: TaskStore, job: Job, move: Move, effect: EffectState | None = None
) -> Job:
    """``job``, stored, and moved in the moment in which it was made."""
    await store.create(job.task, job.generation)
    later = move(job, job.task.created_at)
    left = None if effect is None else _effect(later, effect)
    assert await store.replace(
        later.task, later.generation, expected_version=job.task.version, effect=left
    )
    return later


def _effect(job: Job, state: EffectState) -> Effect:
    created = job.task.updated_at
    return Effect(
        key=f"{job.task.id}.{job.task.status}",
        owner=job.task.owner,
        task_id=job.task.id,
        status=job.task.status,
        created_at=created,
        due_at=created if state is EffectState.OWED else None,
        state=state,
    )


async def _there(store: TaskStore, jobs: Sequence[Job]) -> list[bool]:
    """Which of these tasks still have a row."""
    found = [await store.get(j.task.owner, j.task.id, include_deleted=True) for j in jobs]
    return [job is not None for job in found]


async def _purged(store: TaskStore, *, limit: int = 100, audio: bool = False) -> Purged:
    return await store.purge_ended(older_than=_HOUR, limit=limit, audio=audio)


class PurgeCases:
    # --- by age ---------------------------------------------------------------------------------------

    async def test_what_ended_long_ago_is_purged(self, store: TaskStore) -> None:
        """Whoever owns it, however it ended, hidden or not; what ended of late stays."""
        old = [
            await _ended(store),
            await _ended(store, owner=BEN),
            await _ended(store, move=cancelled),
            await _ended(store, move=_unanswered_end),
        ]
        await store.delete_task(ANNA, old[0].task.id)
        young = await _ended(store, age=_OF_LATE)
        purged = await _purged(store)
        assert purged == Purged(tasks=4)
        assert await _there(store, [*old, young]) == [False] * 4 + [True]
        assert await _purged(store) == Purged()

    @pytest.mark.parametrize("move", [None, started, running, ready, unanswered])
    async def test_what_is_active_is_not_purged(self, store: TaskStore, move: Move | None) -> None:
        """However long ago it began, and whatever it waits for."""
        job = await stored(store, new_job(store.now() - _LONG_AGO), move)
        assert await _purged(store, audio=True) == Purged()
        assert await store.get(ANNA, job.task.id) == job

    async def test_a_generation_outlives_its_task(self, store: TaskStore) -> None:
        """The history and its audio are as before; the audio still counts as named (contract 4.6)."""
        job = await _ended(store)
        await _purged(store)
        assert await store.get_generation(ANNA, generation_of(job).id) == job.generation
        assert (await store.list_generations(ANNA)).items == (job.generation,)
        assert await store.unreferenced([audio_key(job)]) == []

    async def test_a_purged_task_is_like_one_that_never_was(self, store: TaskStore) -> None:
        """No read finds it, no write changes it, and its idempotency key is free."""
        job = await _ended(store, key="key")
        await _purged(store)
        task = job.task
        assert await store.get(ANNA, task.id, include_deleted=True) is None
        assert await store.record_poll(ANNA, task.id) is None
        assert await store.find_by_key(ANNA, "key") is None
        assert not await store.delete_task(ANNA, task.id)
        assert not await store.replace(task, job.generation, expected_version=task.version)
        assert not await store.renew(task.id, fence=task.fence, lease_seconds=60)
        again = new_job(store.now(), idempotency_key="key")
        assert await store.create(again.task, again.generation) == again

    async def test_the_oldest_are_purged_first(self, store: TaskStore) -> None:
        """At most limit at a time; the answer says when there may be more."""
        ages = (5, 9, 7, 6, 8)
        jobs = [await _ended(store, age=timedelta(hours=age)) for age in ages]
        assert await _purged(store, limit=2) == Purged(tasks=2, more=True)
        assert await _there(store, jobs) == [True, False, True, True, False]
        assert await _purged(store, limit=2) == Purged(tasks=2, more=True)
        assert await _there(store, jobs) == [True, False, False, False, False]
        assert await _purged(store, limit=2) == Purged(tasks=1)

    async def test_a_task_stays_while_its_provider_is_owed_a_cancel(self, store: TaskStore) -> None:
        """So does its generation; both go once the provider knows."""
        job = await _ended(store, move=owing)
        assert await _purged(store, audio=True) == Purged()
        settled = moved(job, job.task.updated_at, CancelSettled())
        assert await store.replace(settled.task, None, expected_version=job.task.version)
        purged = await _purged(store, audio=True)
        assert (purged.tasks, purged.generations) == (1, 1)

    async def test_a_task_stays_while_its_effect_is_owed(self, store: TaskStore) -> None:
        """So do the effect and the generation; all go once everybody was told, or we gave up."""
        owed = await _ended(store, effect=EffectState.OWED)
        await _ended(store, effect=EffectState.DELIVERED)
        await _ended(store, effect=EffectState.GAVE_UP)
        purged = await _purged(store, audio=True)
        assert (purged.tasks, purged.generations, purged.effects) == (2, 2, 2)
        assert await store.get(ANNA, owed.task.id) == owed
        (effect,) = await store.list_effects(EffectState.OWED)
        told = replace(effect, attempts=1, due_at=None, state=EffectState.DELIVERED)
        assert await store.write_effect(told)
        purged = await _purged(store, audio=True)
        assert (purged.tasks, purged.generations, purged.effects) == (1, 1, 1)

    async def test_effects_of_late_stay(self, store: TaskStore) -> None:
        """They show operators what was told, as their tasks do."""
        await _ended(store, age=_OF_LATE, effect=EffectState.DELIVERED)
        assert await _purged(store) == Purged()
        assert len(await store.list_effects(EffectState.DELIVERED)) == 1

    async def test_audio_goes_only_where_it_is_asked_for(self, store: TaskStore) -> None:
        """Then with the generations that ended before then, also those whose tasks went before."""
        first, second = await _ended(store), await _ended(store, owner=BEN)
        young = await _ended(store, age=_OF_LATE)
        await _purged(store)
        silent = await _ended(store, move=cancelled)
        purged = await _purged(store, audio=True)
        assert (purged.tasks, purged.generations) == (1, 3)
        assert set(purged.keys) == {audio_key(first), audio_key(second)}
        assert await store.get_generation(ANNA, generation_of(silent).id) is None
        assert await store.get_generation(ANNA, generation_of(young).id) == young.generation
        keys = [*purged.keys, audio_key(young)]
        assert set(await store.unreferenced(keys)) == set(purged.keys)

    async def test_a_dry_run_purges_nothing(self, store: TaskStore) -> None:
        """It says what would go."""
        job = await _ended(store, effect=EffectState.DELIVERED)
        said = await store.purge_ended(older_than=_HOUR, limit=10, audio=True, dry_run=True)
        assert await store.get(ANNA, job.task.id) == job
        assert len(await store.list_effects(EffectState.DELIVERED)) == 1
        assert said == Purged(tasks=1, generations=1, effects=1, keys=(audio_key(job),))
        assert await _purged(store, limit=10, audio=True) == said

    async def test_purges_at_once_purge_each_row_once(self, store: TaskStore) -> None:
        """No two count the same one, none fails, and nothing is left over."""
        jobs = [await _ended(store) for _ in range(20)]
        answers = await race(lambda _: _purged(store, limit=4, audio=True), 8)
        rest = await _purged(store, audio=True)
        assert sum(each.tasks for each in [*answers, rest]) == len(jobs)
        assert sum(each.generations for each in [*answers, rest]) == len(jobs)
        assert not any(await _there(store, jobs))

    # --- of one owner ---------------------------------------------------------------------------------

    async def test_all_of_an_owner_is_purged(self, store: TaskStore) -> None:
        """However young it is, hidden or not; nothing of another owner. A second time finds nothing."""
        jobs = [
            await _ended(store, age=timedelta(), effect=EffectState.DELIVERED),
            await _ended(store, move=cancelled),
        ]
        await store.delete_task(ANNA, jobs[0].task.id)
        lonely = await _ended(store)
        await _purged(store)
        his = await _ended(store, owner=BEN, effect=EffectState.DELIVERED)
        purged = await store.purge_owned(ANNA, limit=100)
        assert (purged.tasks, purged.generations, purged.effects) == (1, 3, 1)
        assert set(purged.keys) == {audio_key(jobs[0]), audio_key(lonely)}
        assert await store.purge_owned(ANNA, limit=100) == Purged()
        assert (await store.list_generations(ANNA)).total == 0
        assert not any(await _there(store, jobs))
        assert await store.get(BEN, his.task.id) == his
        assert len(await store.list_effects(EffectState.DELIVERED)) == 1

    @pytest.mark.parametrize("move", [None, started, running, ready, unanswered])
    async def test_what_is_active_stays_whole(self, store: TaskStore, move: Move | None) -> None:
        """The task and its generation, and in sight; it is counted."""
        job = await stored(store, new_job(store.now()), move)
        for abandon in (False, True):
            assert await store.purge_owned(ANNA, limit=10, abandon_owed=abandon) == Purged(kept=1)
        assert await store.get(ANNA, job.task.id) == job

    async def test_what_owes_a_cancel_stays_out_of_sight(self, store: TaskStore) -> None:
        """For the sweep, without its generation, until the provider knows; or it is abandoned."""
        job = await _ended(store, move=owing)
        purged = await store.purge_owned(ANNA, limit=10)
        assert (purged.tasks, purged.generations, purged.kept) == (0, 1, 1)
        assert await store.get(ANNA, job.task.id) is None
        (due,) = await store.claim_due(limit=10, hold_seconds=60)
        assert (due.task.id, due.generation) == (job.task.id, None)
        assert await store.purge_owned(ANNA, limit=10) == Purged(kept=1)
        assert await store.purge_owned(ANNA, limit=10, abandon_owed=True) == Purged(tasks=1)
        assert await _there(store, [job]) == [False]

    async def test_what_is_purged_is_stuck_no_more(self, store: TaskStore) -> None:
        """What no step could take further is not listed after it went."""
        job = await _ended(store, move=owing)
        assert await store.put_aside(
            job.task.id,
            expected_version=job.task.version,
            reason="ValueError",
            hold_seconds=60,
            most_seconds=60,
        )
        assert [stuck.id for stuck in await store.list_stuck()] == [job.task.id]
        await store.purge_owned(ANNA, limit=10, abandon_owed=True)
        assert not await store.list_stuck()

    async def test_what_owes_an_effect_stays_out_of_sight(self, store: TaskStore) -> None:
        """Until its listeners were told; or it is abandoned, with the effect."""
        told, abandoned = [await _ended(store, effect=EffectState.OWED) for _ in range(2)]
        assert (await store.purge_owned(ANNA, limit=10)).kept == 2
        assert list(await store.list_tasks(ANNA)) == []
        effects = {each.task_id: each for each in await store.list_effects(EffectState.OWED)}
        settled = replace(effects[told.task.id], attempts=1, due_at=None, state=EffectState.GAVE_UP)
        assert await store.write_effect(settled)
        assert await store.purge_owned(ANNA, limit=10) == Purged(
            tasks=1, effects=1, keys=(audio_key(told),), kept=1
        )
        assert await store.purge_owned(ANNA, limit=10, abandon_owed=True) == Purged(
            tasks=1, effects=1, keys=(audio_key(abandoned),)
        )
        assert await store.list_effects(EffectState.OWED) == []

    async def test_an_effect_without_its_task_is_purged(self, store: TaskStore) -> None:
        """Nobody can be told of it any more."""
        job = await _ended(store, effect=EffectState.OWED)
        lost = replace(_effect(job, EffectState.OWED), key="lost", task_id="missing")
        later = replace(job.task, version=job.task.version + 1)
        assert await store.replace(later, None, expected_version=job.task.version, effect=lost)
        assert (await store.purge_owned(ANNA, limit=10)).effects == 1
        assert [each.task_id for each in await store.list_effects(EffectState.OWED)] == [
            job.task.id
        ]

    async def test_an_owner_is_purged_page_by_page(self, store: TaskStore) -> None:
        """At most limit of each kind at a time, until an answer is empty."""
        for _ in range(5):
            await _ended(store, effect=EffectState.DELIVERED)
        pages = [await store.purge_owned(ANNA, limit=2) for _ in range(4)]
        assert [page.tasks for page in pages] == [2, 2, 1, 0]
        assert [page.generations for page in pages] == [2, 2, 1, 0]
        assert [page.effects for page in pages] == [2, 2, 1, 0]
        assert [page.more for page in pages] == [True, True, False, False]
        assert (await store.list_generations(ANNA)).total == 0

    async def test_a_dry_run_leaves_an_owner_alone(self, store: TaskStore) -> None:
        """It says what would go, and what would stay; nothing is hidden either."""
        job, debt = await _ended(store), await _ended(store, move=owing)
        said = await store.purge_owned(ANNA, limit=10, dry_run=True)
        assert said == Purged(tasks=1, generations=2, keys=(audio_key(job),), kept=1)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(ANNA, debt.task.id) == debt
        assert await store.purge_owned(ANNA, limit=10) == said

    async def test_a_submit_at_the_same_time_is_not_halved(self, store: TaskStore) -> None:
        """Whatever is created while its owner is purged is there with both rows."""
        jobs = [new_job(store.now()) for _ in range(10)]
        for _ in range(5):
            await _ended(store)

        async def either(number: int) -> None:
            if number % 2:
                await store.purge_owned(ANNA, limit=3)
            else:
                await store.create(jobs[number // 2].task, jobs[number // 2].generation)

        await race(either, 2 * len(jobs))
        for job in jobs:
            assert await store.get(ANNA, job.task.id) == job

    async def test_what_ends_at_the_same_time_is_not_halved(self, store: TaskStore) -> None:
        """It goes with both rows, or stays with both."""
        jobs = [await stored(store, new_job(store.now()), ready) for _ in range(10)]

        async def either(number: int) -> None:
            if number % 2:
                await store.purge_owned(ANNA, limit=3)
            else:
                job = jobs[number // 2]
                later = cancelled(job, store.now())
                later = moved(later, store.now(), CancelSettled())
                await store.replace(later.task, later.generation, expected_version=job.task.version)

        await race(either, 2 * len(jobs))
        while (await store.purge_owned(ANNA, limit=3)).rows:
            pass
        assert not any(await _there(store, jobs))
        assert (await store.list_generations(ANNA)).total == 0

    async def test_list_unsettled(self, store: TaskStore) -> None:
        """What is active or owes a cancel, hidden or not, in slices; of this owner only."""
        jobs = [
            await stored(store, new_job(store.now())),
            await stored(store, new_job(store.now()), running),
            await stored(store, new_job(store.now()), owing),
        ]
        await store.delete_task(ANNA, jobs[2].task.id)
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now(), owner=BEN))
        expected = sorted(job.task.id for job in jobs)
        first = await store.list_unsettled(ANNA, limit=2)
        assert ids(first) == expected[:2]
        assert ids(await store.list_unsettled(ANNA, after=expected[1], limit=2)) == expected[2:]
        assert await store.list_unsettled(ANNA, after=expected[2]) == []
        assert all(job.generation is not None for job in first)


def _preview(store: TaskStore, *, owner: str = ANNA) -> Job:
    job = new_preview(store.now() - _LONG_AGO, owner=owner)
    return Job(replace(job.task, voice=new_clone(store.now(), owner=owner).task.voice), None)


class VoicePurgeCases:
    """What needs both rows and voices: a part of the voice store's suite."""

    async def test_a_clone_is_purged_once_its_voice_is_there(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Until then its row keeps the voice from being paid for again. A deleted voice counts, another
        owner's doesn't."""
        names = ("failed", "made", "of another", "kept", "deleted")
        clones = {name: new_clone(store.now() - _LONG_AGO) for name in names}
        for name, clone in clones.items():
            made = cancelled if name == "failed" else _made_and_ended
            await _moved_on(store, clone, made)
        for name in ("of another", "kept", "deleted"):
            owner = BEN if name == "of another" else ANNA
            assert await store.add_voice(replace(clones[name].task.voice, owner=owner))
        await store.delete_voice(ANNA, clones["deleted"].task.voice.id)
        assert await _purged(store, audio=True) == Purged(tasks=2)
        there = await _there(store, list(clones.values()))
        assert there == [True, True, True, False, False]

    async def test_a_preview_can_be_saved_until_its_audio_is_purged(
        self, store: TaskAndVoiceStore
    ) -> None:
        """Contract R17: its row stays with its audio, unless the voice was saved, or audio is to go."""
        unsaved, saved, failed = (_preview(store) for _ in range(3))
        await _moved_on(store, unsaved, completed)
        await _moved_on(store, saved, completed)
        await _moved_on(store, failed, cancelled)
        voice = replace(saved.task.voice, reference_audio_key=audio_key(saved))
        assert await store.add_voice(voice, of_task=saved.task.id)
        assert await _purged(store) == Purged(tasks=2)
        assert await _there(store, [unsaved, saved, failed]) == [True, False, False]
        assert await store.unreferenced([audio_key(unsaved), audio_key(saved)]) == []
        assert await _purged(store, audio=True) == Purged(tasks=1, keys=(audio_key(unsaved),))
        assert await store.unreferenced([audio_key(unsaved), audio_key(saved)]) == [
            audio_key(unsaved)
        ]

    async def test_what_has_to_stay_does_not_hide_the_others(
        self, store: TaskAndVoiceStore
    ) -> None:
        """However many older rows are kept, a page is filled with what can go."""
        for _ in range(5):
            await _moved_on(store, _preview(store), completed)
            await _ended(store, move=owing)
        await _ended(store)
        await _moved_on(store, _preview(store), cancelled)
        assert (await _purged(store, limit=2)).tasks == 2

    async def test_an_owners_voices_are_purged(self, store: TaskAndVoiceStore) -> None:
        """Hidden ones too, with their recordings, and what unfinished business left of others."""
        kept, hidden, foreign = (new_clone(store.now()).task.voice for _ in range(3))
        assert await store.add_voice(kept)
        assert await store.add_voice(hidden)
        assert await store.add_voice(replace(foreign, owner=BEN))
        await store.delete_voice(ANNA, hidden.id)
        preview = await _moved_on(store, _preview(store), completed)
        clone = await _moved_on(store, new_clone(store.now()), cancelled)
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
            await _moved_on(store, job, completed)
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
            await _moved_on(store, preview, completed)
        erased: set[str] = set()

        async def either(number: int) -> None:
            if number % 2:
                purged = await store.purge_ended(older_than=_HOUR, limit=3, audio=True)
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
            await _ended(store)
            await _moved_on(store, _preview(store), cancelled)
        page = await _purged(store, limit=2)
        assert (page.tasks, page.more) == (4, True)
        kinds = {job.task.kind for job in await store.list_tasks(ANNA)}
        assert kinds == {TaskKind.GENERATE, TaskKind.DESIGN_PREVIEW}


def _made_and_ended(job: Job, now: object) -> Job:
    moment = job.task.created_at
    return cancelled(voice_made(job, moment), moment)
