"""What every store must pass whose rows somebody else can write: a newer version, a repair, a failing disk.

A backend's author subclasses :class:`UnreadableRowsSuite`, with the fixture ``store`` of
:class:`~ttsorch.testing.task_store.TaskStoreSuite` and one more: ``spoil(kind, id)`` makes the stored row of
that ``kind`` (``task``, ``generation``, ``effect`` or ``voice``; an effect's id is its key) one that can't be
read::

    @pytest.fixture
    def spoil(self, store):
        async def spoil(kind, id):
            await store.execute(f"UPDATE {kind}s SET status = 'from the future' WHERE id = ?", id)
        return spoil
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal, TypeAlias

import pytest

from ttsorch.errors import ActiveJobLimit, Category, ProviderBusy, RowUnreadable
from ttsorch.models import Effect, EffectState, Job, Limits, Status, Voice
from ttsorch.protocols import TaskStore
from ttsorch.store import TaskAndVoiceStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    VOICE,
    completed,
    generation_of,
    ids,
    new_job,
    running,
    stored,
    unanswered,
)

Kind: TypeAlias = Literal["task", "generation", "effect", "voice"]
Spoil: TypeAlias = Callable[[Kind, str], Awaitable[None]]


async def _ended(store: TaskStore) -> Effect:
    """An effect of a task that was just completed."""
    begun = await stored(store, new_job(store.now()))
    job = completed(begun, store.now())
    effect = Effect(
        key=f"{job.task.id}.completed",
        owner=job.task.owner,
        task_id=job.task.id,
        status=Status.COMPLETED,
        created_at=store.now(),
        due_at=store.now(),
    )
    assert await store.replace(job.task, job.generation, expected_version=1, effect=effect)
    return effect


async def _put_aside(store: TaskStore, job: Job) -> None:
    """As the sweep does with what it can't read."""
    assert await store.claim_due(limit=10, hold_seconds=60) == []
    assert [(stuck.id, stuck.reason) for stuck in await store.list_stuck()] == [
        (job.task.id, "unreadable")
    ]


class UnreadableRowsSuite:
    """Supply the fixtures ``store`` and ``spoil``."""

    pytestmark = pytest.mark.anyio

    # --- listings -------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", ["task", "generation"])
    async def test_an_unreadable_job_is_left_out_of_a_listing(
        self, store: TaskStore, spoil: Spoil, kind: Kind
    ) -> None:
        """The owner sees all the others, and a full page of them: whoever pages on a short page stops."""
        jobs = [await stored(store, new_job(store.now(), id=f"t-{n}")) for n in range(7)]
        for odd in (jobs[1], jobs[4], jobs[5]):
            await spoil(kind, odd.task.id if kind == "task" else generation_of(odd).id)
        readable = [jobs[6], jobs[3], jobs[2], jobs[0]]
        assert sorted(ids(await store.list_tasks(ANNA))) == sorted(ids(readable))
        for size in (1, 2, 3):
            assert len(await store.list_tasks(ANNA, limit=size)) == size
            assert len(await store.list_tasks(ANNA, active=True, limit=size)) == size
        first = await store.list_tasks(ANNA, limit=2)
        last = first[-1].task
        rest = await store.list_tasks(ANNA, before=(last.created_at, last.id), limit=2)
        assert sorted(ids([*first, *rest])) == sorted(ids(readable))
        assert await store.list_tasks(BEN) == []

    async def test_many_unreadable_jobs_hide_nobody(self, store: TaskStore, spoil: Spoil) -> None:
        """Not even when a whole page is of them, in the listings that are gone through to their end."""
        odd = [await stored(store, new_job(store.now(), id=f"t-{n:02}")) for n in range(9)]
        known = await stored(store, new_job(store.now(), id="t-99"))
        for job in odd:
            await spoil("task", job.task.id)
        assert ids(await store.list_unsettled(ANNA, limit=2)) == [known.task.id]
        assert ids(await store.list_tasks(ANNA, limit=1)) == [known.task.id]

    async def test_an_unreadable_job_does_not_stop_an_operator(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """Of the submits that were never answered, the others are listed."""
        odd, known = [await stored(store, new_job(store.now()), unanswered) for _ in range(2)]
        await spoil("task", odd.task.id)
        assert ids(await store.list_unknown()) == [known.task.id]

    async def test_an_unreadable_generation_is_left_out_of_the_history(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """The page has the others; the total counts it, since it is there."""
        jobs = [await stored(store, new_job(store.now())) for _ in range(3)]
        await spoil("generation", generation_of(jobs[1]).id)
        page = await store.list_generations(ANNA)
        assert {each.id for each in page.items} == {
            generation_of(jobs[0]).id,
            generation_of(jobs[2]).id,
        }
        assert page.total == 3

    async def test_the_history_of_an_unreadable_task_is_there(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """What its generation says can be read."""
        job = await stored(store, new_job(store.now()), completed)
        await spoil("task", job.task.id)
        assert (await store.list_generations(ANNA)).items == (job.generation,)
        assert await store.get_generation(ANNA, generation_of(job).id) == job.generation

    async def test_an_unreadable_voice_is_left_out_of_the_voices(
        self, store: TaskAndVoiceStore, spoil: Spoil
    ) -> None:
        """The others are listed; asked for by its id, it is there and can't be read."""
        odd, known = [_voice(store, number) for number in range(2)]
        assert await store.add_voice(odd)
        assert await store.add_voice(known)
        await spoil("voice", odd.id)
        assert (await store.list_voices(ANNA)).items == (known,)
        with pytest.raises(RowUnreadable):
            await store.get_voice(ANNA, odd.id)
        assert await store.get_voice(BEN, odd.id) is None

    # --- by id ----------------------------------------------------------------------------------------

    async def test_who_asks_for_an_unreadable_job_is_told(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """It is not missing, and whoever can't see it still sees nothing."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await spoil("task", job.task.id)
        for ask in (
            store.get(ANNA, job.task.id),
            store.record_poll(ANNA, job.task.id),
            store.find_by_key(ANNA, "key"),
        ):
            with pytest.raises(RowUnreadable) as told:
                await ask
            assert (told.value.code, told.value.http_status) == ("row_unreadable", 503)
            assert told.value.category is Category.PROVIDER_UNAVAILABLE
            assert job.task.id in (told.value.detail or "")
        assert await store.get(BEN, job.task.id) is None
        assert await store.record_poll(BEN, job.task.id) is None

    async def test_who_asks_for_an_unreadable_generation_is_told(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """As for a job."""
        generation = generation_of(await stored(store, new_job(store.now())))
        await spoil("generation", generation.id)
        with pytest.raises(RowUnreadable):
            await store.get_generation(ANNA, generation.id)
        assert await store.get_generation(BEN, generation.id) is None

    async def test_a_repeated_key_of_an_unreadable_job_makes_no_other(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """What it has begun may have been paid for."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await spoil("task", job.task.id)
        again = new_job(store.now(), idempotency_key="key")
        with pytest.raises(RowUnreadable):
            await store.create(again.task, again.generation)
        assert await store.get(ANNA, again.task.id) is None

    async def test_an_operator_is_told_once(
        self, store: TaskStore, spoil: Spoil, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With the row's id and the name of the trouble, not with every poll, and never with what it
        holds."""
        job = await stored(store, new_job(store.now(), text="a secret"))
        await spoil("task", job.task.id)
        for _ in range(3):
            assert await store.list_tasks(ANNA) == []
            with pytest.raises(RowUnreadable):
                await store.get(ANNA, job.task.id)
        assert caplog.text.count(job.task.id) == 1
        assert "a secret" not in caplog.text

    # --- slots ----------------------------------------------------------------------------------------

    async def test_an_unreadable_task_that_was_put_aside_takes_no_slot(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """Its owner can't end it, and would be locked out until somebody has mended it."""
        odd = await stored(store, new_job(store.now()))
        await spoil("task", odd.task.id)
        job = new_job(store.now())
        for limits, refusal in (
            (Limits(active_per_owner=1), ActiveJobLimit),
            (Limits(in_flight_per_provider=1), ProviderBusy),
        ):
            with pytest.raises(refusal):
                await store.create(job.task, job.generation, limits=limits)
        await _put_aside(store, odd)
        limits = Limits(active_per_owner=1, in_flight_per_provider=1)
        assert (await store.create(job.task, job.generation, limits=limits)).task.id == job.task.id
        other = new_job(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(other.task, other.generation, limits=limits)

    async def test_what_failed_otherwise_keeps_its_slot(self, store: TaskStore) -> None:
        """A task that was put aside for a defect is under way, and its owner can cancel it."""
        job = await stored(store, new_job(store.now()), running)
        assert await store.put_aside(
            job.task.id,
            expected_version=job.task.version,
            reason="KeyError",
            hold_seconds=60,
            most_seconds=60,
        )
        other = new_job(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(other.task, other.generation, limits=Limits(active_per_owner=1))

    # --- purges and effects ---------------------------------------------------------------------------

    async def test_a_purge_keeps_an_unreadable_task_that_is_active(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """Somebody who can read it may be at it; it is counted, so that nobody takes the purge for done."""
        odd = await stored(store, new_job(store.now()), running)
        await stored(store, new_job(store.now()), completed)
        await spoil("task", odd.task.id)
        purged = await store.purge_owned(ANNA, limit=10)
        assert (purged.tasks, purged.kept) == (1, 1)
        with pytest.raises(RowUnreadable):
            await store.get(ANNA, odd.task.id)

    async def test_an_unreadable_effect_stops_no_other(
        self, store: TaskStore, spoil: Spoil
    ) -> None:
        """It takes nobody's place in a batch, is put aside for a while, and is not listed."""
        odd = [await _ended(store) for _ in range(3)]
        for effect in odd:
            await spoil("effect", effect.key)
        known = [await _ended(store) for _ in range(2)]
        due = await store.claim_effects(limit=2, hold_seconds=60)
        assert sorted(each.key for each in due) == sorted(each.key for each in known)
        for effect in due:
            assert await store.write_effect(
                replace(effect, attempts=1, due_at=None, state=EffectState.DELIVERED)
            )
        assert await store.list_effects(EffectState.OWED) == []
        assert len(await store.list_effects(EffectState.DELIVERED)) == 2
        assert await store.claim_effects(limit=1, hold_seconds=60) == []


def _voice(store: TaskStore, number: int) -> Voice:
    return replace(VOICE, id=f"voice-{number}", owner=ANNA, created_at=store.now())
