"""The part of the task store's suite about purges by age, over all owners."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ttsorch.models import EffectState, Job, Purged
from ttsorch.protocols import TaskStore
from ttsorch.states import CancelSettled
from ttsorch.testing.purgeable_jobs import (
    HOUR,
    LONG_AGO,
    OF_LATE,
    are_there,
    ended_job,
    purged_by_age,
)
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    audio_key,
    cancelled,
    generation_of,
    moved,
    new_job,
    owing,
    race,
    ready,
    running,
    started,
    stored,
    unanswered,
)
from ttsorch.testing.voice_store_purges import VoicePurgeCases

__all__ = ["PurgeCases", "VoicePurgeCases"]


def _unanswered_end(job: Job, now: object) -> Job:
    moment = job.task.created_at
    return cancelled(unanswered(job, moment), moment)


class PurgeCases:
    async def test_what_ended_long_ago_is_purged(self, store: TaskStore) -> None:
        """Whoever owns it, however it ended, hidden or not; what ended of late stays."""
        old = [
            await ended_job(store),
            await ended_job(store, owner=BEN),
            await ended_job(store, move=cancelled),
            await ended_job(store, move=_unanswered_end),
        ]
        await store.delete_task(ANNA, old[0].task.id)
        young = await ended_job(store, age=OF_LATE)
        purged = await purged_by_age(store)
        assert purged == Purged(tasks=4)
        assert await are_there(store, [*old, young]) == [False] * 4 + [True]
        assert await purged_by_age(store) == Purged()

    @pytest.mark.parametrize("move", [None, started, running, ready, unanswered])
    async def test_what_is_active_is_not_purged(self, store: TaskStore, move: Move | None) -> None:
        """However long ago it began, and whatever it waits for."""
        job = await stored(store, new_job(store.now() - LONG_AGO), move)
        assert await purged_by_age(store, audio=True) == Purged()
        assert await store.get(ANNA, job.task.id) == job

    async def test_a_generation_outlives_its_task(self, store: TaskStore) -> None:
        """The history and its audio are as before; the audio still counts as named (contract 4.6)."""
        job = await ended_job(store)
        await purged_by_age(store)
        assert await store.get_generation(ANNA, generation_of(job).id) == job.generation
        assert (await store.list_generations(ANNA)).items == (job.generation,)
        assert await store.unreferenced([audio_key(job)]) == []

    async def test_a_purged_task_is_like_one_that_never_was(self, store: TaskStore) -> None:
        """No read finds it, no write changes it, and its idempotency key is free."""
        job = await ended_job(store, key="key")
        await purged_by_age(store)
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
        jobs = [await ended_job(store, age=timedelta(hours=age)) for age in ages]
        assert await purged_by_age(store, limit=2) == Purged(tasks=2, more=True)
        assert await are_there(store, jobs) == [True, False, True, True, False]
        assert await purged_by_age(store, limit=2) == Purged(tasks=2, more=True)
        assert await are_there(store, jobs) == [True, False, False, False, False]
        assert await purged_by_age(store, limit=2) == Purged(tasks=1)

    async def test_a_task_stays_while_its_provider_is_owed_a_cancel(self, store: TaskStore) -> None:
        """So does its generation; both go once the provider knows."""
        job = await ended_job(store, move=owing)
        assert await purged_by_age(store, audio=True) == Purged()
        settled = moved(job, job.task.updated_at, CancelSettled())
        assert await store.replace(settled.task, None, expected_version=job.task.version)
        purged = await purged_by_age(store, audio=True)
        assert (purged.tasks, purged.generations) == (1, 1)

    async def test_a_task_stays_while_its_effect_is_owed(self, store: TaskStore) -> None:
        """So do the effect and the generation; all go once everybody was told, or we gave up."""
        owed = await ended_job(store, effect=EffectState.OWED)
        await ended_job(store, effect=EffectState.DELIVERED)
        await ended_job(store, effect=EffectState.GAVE_UP)
        purged = await purged_by_age(store, audio=True)
        assert (purged.tasks, purged.generations, purged.effects) == (2, 2, 2)
        assert await store.get(ANNA, owed.task.id) == owed
        (effect,) = await store.list_effects(EffectState.OWED)
        told = replace(effect, attempts=1, due_at=None, state=EffectState.DELIVERED)
        assert await store.write_effect(told)
        purged = await purged_by_age(store, audio=True)
        assert (purged.tasks, purged.generations, purged.effects) == (1, 1, 1)

    async def test_effects_of_late_stay(self, store: TaskStore) -> None:
        """They show operators what was told, as their tasks do."""
        await ended_job(store, age=OF_LATE, effect=EffectState.DELIVERED)
        assert await purged_by_age(store) == Purged()
        assert len(await store.list_effects(EffectState.DELIVERED)) == 1

    async def test_audio_goes_only_where_it_is_asked_for(self, store: TaskStore) -> None:
        """Then with the generations that ended before then, also those whose tasks went before."""
        first, second = await ended_job(store), await ended_job(store, owner=BEN)
        young = await ended_job(store, age=OF_LATE)
        await purged_by_age(store)
        silent = await ended_job(store, move=cancelled)
        purged = await purged_by_age(store, audio=True)
        assert (purged.tasks, purged.generations) == (1, 3)
        assert set(purged.keys) == {audio_key(first), audio_key(second)}
        assert await store.get_generation(ANNA, generation_of(silent).id) is None
        assert await store.get_generation(ANNA, generation_of(young).id) == young.generation
        keys = [*purged.keys, audio_key(young)]
        assert set(await store.unreferenced(keys)) == set(purged.keys)

    async def test_a_dry_run_purges_nothing(self, store: TaskStore) -> None:
        """It says what would go."""
        job = await ended_job(store, effect=EffectState.DELIVERED)
        said = await store.purge_ended(older_than=HOUR, limit=10, audio=True, dry_run=True)
        assert await store.get(ANNA, job.task.id) == job
        assert len(await store.list_effects(EffectState.DELIVERED)) == 1
        assert said == Purged(tasks=1, generations=1, effects=1, keys=(audio_key(job),))
        assert await purged_by_age(store, limit=10, audio=True) == said

    async def test_purges_at_once_purge_each_row_once(self, store: TaskStore) -> None:
        """No two count the same one, none fails, and nothing is left over."""
        jobs = [await ended_job(store) for _ in range(20)]
        answers = await race(lambda _: purged_by_age(store, limit=4, audio=True), 8)
        rest = await purged_by_age(store, audio=True)
        assert sum(each.tasks for each in [*answers, rest]) == len(jobs)
        assert sum(each.generations for each in [*answers, rest]) == len(jobs)
        assert not any(await are_there(store, jobs))
