"""The part of the task store's suite about the outbox: what a task's end leaves to be told."""

from dataclasses import replace
from datetime import timedelta

from ttsorch.models import Effect, EffectState, Job
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    Advance,
    cancelled,
    completed,
    new_job,
    race,
    stored,
)

_SHORT_HOLD = 0.5
_LONGER = 0.6


def _effect_of(store: TaskStore, job: Job, *, age: float = 0.0) -> Effect:
    due = store.now() - timedelta(seconds=age)
    return Effect(
        key=f"{job.task.id}.{job.task.status}",
        owner=job.task.owner,
        task_id=job.task.id,
        status=job.task.status,
        created_at=due,
        due_at=due,
    )


async def _ended(store: TaskStore, *, age: float = 0.0) -> Effect:
    """A task that was completed, with what its end left."""
    begun = await stored(store, new_job(store.now()))
    job = completed(begun, store.now())
    effect = _effect_of(store, job, age=age)
    assert await store.replace(job.task, job.generation, expected_version=1, effect=effect)
    return effect


class EffectCases:
    async def test_an_effect_is_written_with_the_transition(self, store: TaskStore) -> None:
        """It comes back as it was written, and is owed at once."""
        effect = await _ended(store)
        assert await store.list_effects(EffectState.OWED) == [effect]
        assert await store.list_effects(EffectState.DELIVERED) == []

    async def test_a_transition_that_is_not_written_leaves_no_effect(
        self, store: TaskStore
    ) -> None:
        """Both or none: who came second owes nothing."""
        job = await stored(store, new_job(store.now()), cancelled)
        late = completed(new_job(store.now()), store.now())
        late = Job(replace(late.task, id=job.task.id), None)
        effect = _effect_of(store, late)
        assert not await store.replace(late.task, None, expected_version=1, effect=effect)
        assert await store.list_effects(EffectState.OWED) == []

    async def test_an_effect_is_written_once(self, store: TaskStore) -> None:
        """What was told since is not owed again, when the write is repeated."""
        effect = await _ended(store)
        told = replace(effect, told=("bank",), attempts=1, due_at=None, state=EffectState.DELIVERED)
        assert await store.write_effect(told)
        job = await store.get(ANNA, effect.task_id)
        assert job is not None
        version = job.task.version
        again = replace(job.task, version=version + 1)
        assert await store.replace(again, None, expected_version=version, effect=effect)
        assert await store.list_effects(EffectState.OWED) == []
        assert await store.list_effects(EffectState.DELIVERED) == [told]

    async def test_claim_effects_hands_out_the_earliest_first(self, store: TaskStore) -> None:
        """At most limit of those that are due, each held from now on."""
        effects = [await _ended(store, age=age) for age in (20, 40, 10, 30, -3600)]
        before = store.now()
        claimed = await store.claim_effects(limit=3, hold_seconds=60)
        after = store.now()
        assert [each.key for each in claimed] == [effects[at].key for at in (1, 3, 0)]
        for each in claimed:
            assert each.due_at is not None
            assert before <= each.due_at - timedelta(seconds=60) <= after
        rest = await store.claim_effects(limit=3, hold_seconds=60)
        assert [each.key for each in rest] == [effects[2].key]
        assert await store.claim_effects(limit=3, hold_seconds=60) == []

    async def test_claim_effects_gives_each_to_one_caller(self, store: TaskStore) -> None:
        """Of many callers at once no two get the same effect, and none is left over."""
        effects = [await _ended(store) for _ in range(20)]
        handed = await race(lambda _: store.claim_effects(limit=4, hold_seconds=60), 8)
        assert sorted(each.key for claimed in handed for each in claimed) == sorted(
            effect.key for effect in effects
        )

    async def test_an_effect_that_was_held_comes_back(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """When who got it died; once it is settled it doesn't."""
        effect = await _ended(store)
        await store.claim_effects(limit=1, hold_seconds=_SHORT_HOLD)
        assert await store.claim_effects(limit=1, hold_seconds=60) == []
        await advance(_LONGER)
        (again,) = await store.claim_effects(limit=1, hold_seconds=_SHORT_HOLD)
        assert replace(again, due_at=effect.due_at) == effect
        settled = replace(again, attempts=1, due_at=None, state=EffectState.GAVE_UP, error="late")
        assert await store.write_effect(settled)
        await advance(_LONGER)
        assert await store.claim_effects(limit=1, hold_seconds=60) == []
        assert await store.list_effects(EffectState.GAVE_UP) == [settled]

    async def test_of_two_who_write_one_effect_the_first_counts(self, store: TaskStore) -> None:
        """The other one was held up for longer than its hold, and changes nothing."""
        effect = await _ended(store)
        first = replace(effect, attempts=1, told=("bank",))
        late = replace(effect, attempts=1)
        assert await store.write_effect(first)
        assert not await store.write_effect(late)
        assert not await store.write_effect(replace(effect, key="missing", attempts=1))
        assert await store.list_effects(EffectState.OWED) == [first]

    async def test_list_effects_shows_the_oldest_first(self, store: TaskStore) -> None:
        """At most limit of them, whoever owns them."""
        effects = [await _ended(store, age=age) for age in (10, 30, 20)]
        listed = await store.list_effects(EffectState.OWED, limit=2)
        assert listed == [effects[1], effects[2]]
