"""The part of the task store's suite about the purge of one owner."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ttsorch.models import EffectState, Purged
from ttsorch.protocols import TaskStore
from ttsorch.states import CancelSettled
from ttsorch.testing.purgeable_jobs import are_there, effect_of, ended_job, purged_by_age
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    audio_key,
    cancelled,
    completed,
    ids,
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


class OwnerPurgeCases:
    async def test_all_of_an_owner_is_purged(self, store: TaskStore) -> None:
        """However young it is, hidden or not; nothing of another owner. A second time finds nothing."""
        jobs = [
            await ended_job(store, age=timedelta(), effect=EffectState.DELIVERED),
            await ended_job(store, move=cancelled),
        ]
        await store.delete_task(ANNA, jobs[0].task.id)
        lonely = await ended_job(store)
        await purged_by_age(store)
        his = await ended_job(store, owner=BEN, effect=EffectState.DELIVERED)
        purged = await store.purge_owned(ANNA, limit=100)
        assert (purged.tasks, purged.generations, purged.effects) == (1, 3, 1)
        assert set(purged.keys) == {audio_key(jobs[0]), audio_key(lonely)}
        assert await store.purge_owned(ANNA, limit=100) == Purged()
        assert (await store.list_generations(ANNA)).total == 0
        assert not any(await are_there(store, jobs))
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
        job = await ended_job(store, move=owing)
        purged = await store.purge_owned(ANNA, limit=10)
        assert (purged.tasks, purged.generations, purged.kept) == (0, 1, 1)
        assert await store.get(ANNA, job.task.id) is None
        (due,) = await store.claim_due(limit=10, hold_seconds=60)
        assert (due.task.id, due.generation) == (job.task.id, None)
        assert await store.purge_owned(ANNA, limit=10) == Purged(kept=1)
        assert await store.purge_owned(ANNA, limit=10, abandon_owed=True) == Purged(tasks=1)
        assert await are_there(store, [job]) == [False]

    async def test_what_is_purged_is_stuck_no_more(self, store: TaskStore) -> None:
        """What no step could take further is not listed after it went."""
        job = await ended_job(store, move=owing)
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
        told, abandoned = [await ended_job(store, effect=EffectState.OWED) for _ in range(2)]
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
        job = await ended_job(store, effect=EffectState.OWED)
        lost = replace(effect_of(job, EffectState.OWED), key="lost", task_id="missing")
        later = replace(job.task, version=job.task.version + 1)
        assert await store.replace(later, None, expected_version=job.task.version, effect=lost)
        assert (await store.purge_owned(ANNA, limit=10)).effects == 1
        assert [each.task_id for each in await store.list_effects(EffectState.OWED)] == [
            job.task.id
        ]

    async def test_an_owner_is_purged_page_by_page(self, store: TaskStore) -> None:
        """At most limit of each kind at a time, until an answer is empty."""
        for _ in range(5):
            await ended_job(store, effect=EffectState.DELIVERED)
        pages = [await store.purge_owned(ANNA, limit=2) for _ in range(4)]
        assert [page.tasks for page in pages] == [2, 2, 1, 0]
        assert [page.generations for page in pages] == [2, 2, 1, 0]
        assert [page.effects for page in pages] == [2, 2, 1, 0]
        assert [page.more for page in pages] == [True, True, False, False]
        assert (await store.list_generations(ANNA)).total == 0

    async def test_a_dry_run_leaves_an_owner_alone(self, store: TaskStore) -> None:
        """It says what would go, and what would stay; nothing is hidden either."""
        job, debt = await ended_job(store), await ended_job(store, move=owing)
        said = await store.purge_owned(ANNA, limit=10, dry_run=True)
        assert said == Purged(tasks=1, generations=2, keys=(audio_key(job),), kept=1)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(ANNA, debt.task.id) == debt
        assert await store.purge_owned(ANNA, limit=10) == said

    async def test_a_submit_at_the_same_time_is_not_halved(self, store: TaskStore) -> None:
        """Whatever is created while its owner is purged is there with both rows."""
        jobs = [new_job(store.now()) for _ in range(10)]
        for _ in range(5):
            await ended_job(store)

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
        assert not any(await are_there(store, jobs))
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
