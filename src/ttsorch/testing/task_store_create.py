"""The part of the task store's suite about a job's first write: once per key, and within the limits."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ttsorch.errors import ActiveJobLimit, ProviderBusy, StorageUnavailable, SubmitRateLimit
from ttsorch.models import Job, Limits
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    completed,
    generation_of,
    new_clone,
    new_job,
    new_preview,
    race,
    running,
    started,
    stored,
)

_CONCURRENT = 20


class CreateCases:
    async def test_create_stores_both_rows(self, store: TaskStore) -> None:
        """What create was given is what create and every read return."""
        job = new_job(store.now())
        assert await store.create(job.task, job.generation) == job
        assert await store.get(ANNA, job.task.id) == job
        generation = generation_of(job)
        assert await store.get_generation(ANNA, generation.id) == generation

    async def test_create_without_a_generation(self, store: TaskStore) -> None:
        """A task may have no generation."""
        job = new_preview(store.now())
        assert await store.create(job.task, None) == job
        assert await store.get(ANNA, job.task.id) == job

    async def test_create_stores_both_rows_or_none(self, store: TaskStore) -> None:
        """When the generation can't be inserted, the task isn't either."""
        first = await stored(store, new_job(store.now()))
        second = new_job(store.now(), generation_id=generation_of(first).id, text="Other.")
        with pytest.raises(StorageUnavailable):
            await store.create(second.task, second.generation)
        assert await store.get(ANNA, second.task.id) is None
        assert await store.get(ANNA, first.task.id) == first

    async def test_create_again_returns_the_stored_job(self, store: TaskStore) -> None:
        """A create whose answer was lost can be repeated: the job is returned as it is now."""
        job = new_job(store.now(), idempotency_key="key")
        later = await stored(store, job, running)
        assert await store.create(job.task, job.generation, lease_seconds=60) == later
        assert await store.get(ANNA, job.task.id) == later

    async def test_create_does_not_hand_out_another_owners_job(self, store: TaskStore) -> None:
        """An id that another owner's task has neither shows nor changes that task."""
        job = await stored(store, new_job(store.now()))
        intruder = new_job(store.now(), owner=BEN, id=job.task.id)
        with pytest.raises(StorageUnavailable):
            await store.create(intruder.task, intruder.generation)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(BEN, job.task.id) is None

    async def test_repeated_idempotency_key_returns_the_earlier_job(self, store: TaskStore) -> None:
        """The earlier job is returned as it is now, and nothing of the second one is written."""
        later = await stored(store, new_job(store.now(), idempotency_key="key"), completed)
        repeat = new_job(store.now(), idempotency_key="key")
        assert await store.create(repeat.task, repeat.generation, lease_seconds=60) == later
        assert await store.get(ANNA, repeat.task.id) is None
        assert await store.get_generation(ANNA, generation_of(repeat).id) is None

    async def test_idempotency_key_of_a_deleted_task_stays_taken(self, store: TaskStore) -> None:
        """Deleting a task does not free its key."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await store.delete_task(ANNA, job.task.id)
        repeat = new_job(store.now(), idempotency_key="key")
        earlier = await store.create(repeat.task, repeat.generation)
        assert earlier.task.id == job.task.id
        assert earlier.task.deleted_at is not None

    async def test_a_job_is_found_by_its_idempotency_key(self, store: TaskStore) -> None:
        """As it is now, also when it was deleted; there is none for another owner or another key."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await stored(store, new_job(store.now()))
        assert await store.find_by_key(ANNA, "key") == job
        assert await store.find_by_key(BEN, "key") is None
        assert await store.find_by_key(ANNA, "other") is None
        await store.delete_task(ANNA, job.task.id)
        found = await store.find_by_key(ANNA, "key")
        assert found is not None
        assert (found.task.id, found.generation) == (job.task.id, job.generation)

    async def test_idempotency_keys_belong_to_their_owner(self, store: TaskStore) -> None:
        """Two owners may use the same key."""
        hers = await stored(store, new_job(store.now(), idempotency_key="key"))
        his = new_job(store.now(), owner=BEN, idempotency_key="key")
        assert await store.create(his.task, his.generation) == his
        assert await store.get(ANNA, hers.task.id) == hers

    async def test_racing_creates_with_one_key_make_one_job(self, store: TaskStore) -> None:
        """However many creates with the same key run at once, all return the same job."""
        jobs = [new_job(store.now(), idempotency_key="key") for _ in range(_CONCURRENT)]
        answers = await race(lambda n: store.create(jobs[n].task, jobs[n].generation), _CONCURRENT)
        assert len({answer.task.id for answer in answers}) == 1
        assert len(await store.list_tasks(ANNA, limit=100)) == 1

    async def test_create_under_a_lease(self, store: TaskStore) -> None:
        """With lease_seconds the row is born leased, with the first fencing token."""
        job = new_job(store.now())
        before = store.now()
        answer = await store.create(job.task, job.generation, lease_seconds=60)
        after = store.now()
        task = answer.task
        assert task.fence == 1
        assert task.lease_until is not None
        assert before <= task.lease_until - timedelta(seconds=60) <= after
        assert task.next_action_at == task.lease_until
        assert await store.get(ANNA, job.task.id) == answer

    async def test_active_job_limit(self, store: TaskStore) -> None:
        """At active_per_owner a create is refused and writes nothing; ended and foreign tasks don't count."""
        await stored(store, new_job(store.now()), running)
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now(), owner=BEN))
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=Limits(active_per_owner=2))
        with pytest.raises(ActiveJobLimit):
            await store.create(third.task, third.generation, limits=Limits(active_per_owner=2))
        assert await store.get(ANNA, third.task.id) is None
        assert await store.get_generation(ANNA, generation_of(third).id) is None

    async def test_clones_are_outside_the_active_job_limit(self, store: TaskStore) -> None:
        """A clone neither counts nor is refused for the jobs there are; a preview does and is."""
        clone = await stored(store, new_clone(store.now()), started)
        job = new_job(store.now())
        assert (
            await store.create(job.task, job.generation, limits=Limits(active_per_owner=1)) == job
        )
        assert await store.get(ANNA, clone.task.id) == clone
        preview = new_preview(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(preview.task, None, limits=Limits(active_per_owner=1))
        await store.create(preview.task, None, limits=Limits(active_per_owner=2))
        third = new_job(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(third.task, third.generation, limits=Limits(active_per_owner=2))

    async def test_active_job_limit_lets_a_repeated_key_through(self, store: TaskStore) -> None:
        """A repeat of an earlier create is answered also when the owner is at the limit."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        repeat = new_job(store.now(), idempotency_key="key")
        assert (
            await store.create(repeat.task, repeat.generation, limits=Limits(active_per_owner=1))
            == job
        )

    async def test_racing_creates_stay_within_the_limit(self, store: TaskStore) -> None:
        """Of 64 creates at once with a limit of 5, exactly 5 succeed."""

        async def create(_: int) -> bool:
            job = new_job(store.now())
            try:
                await store.create(job.task, job.generation, limits=Limits(active_per_owner=5))
            except ActiveJobLimit:
                return False
            return True

        assert sum(await race(create, 64)) == 5
        assert len(await store.list_tasks(ANNA, limit=100)) == 5

    async def test_submit_rate_limit(self, store: TaskStore) -> None:
        """So many within a minute, ended and deleted ones included; another owner's and older ones don't
        count. The refusal says when the next one will be taken."""
        now, limits = store.now(), Limits(submits_per_minute=2)
        await stored(store, new_job(now - timedelta(seconds=61)))
        await stored(store, new_job(now, owner=BEN))
        first = await stored(store, new_job(now - timedelta(seconds=20)), completed)
        await store.delete_task(ANNA, first.task.id)
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=limits)
        with pytest.raises(SubmitRateLimit) as refused:
            await store.create(third.task, third.generation, limits=limits)
        assert refused.value.retry_after is not None
        assert 30 < refused.value.retry_after <= 40
        assert await store.get(ANNA, third.task.id) is None

    async def test_in_flight_limit(self, store: TaskStore) -> None:
        """What all owners have under way at one provider; another provider's and ended tasks don't
        count."""
        limits = Limits(in_flight_per_provider=2)
        other = new_job(store.now())
        other = Job(replace(other.task, provider="other"), other.generation)
        await store.create(other.task, other.generation)
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now(), owner=BEN), running)
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=limits)
        with pytest.raises(ProviderBusy):
            await store.create(third.task, third.generation, limits=limits)
        assert await store.get(ANNA, third.task.id) is None
        ended = completed(second, store.now())
        assert await store.replace(ended.task, ended.generation, expected_version=1)
        await store.create(third.task, third.generation, limits=limits)

    async def test_clones_are_outside_every_limit(self, store: TaskStore) -> None:
        """Neither counted nor refused."""
        limits = Limits(active_per_owner=1, submits_per_minute=1, in_flight_per_provider=1)
        for _ in range(2):
            await store.create(new_clone(store.now()).task, None, limits=limits)
        job = new_job(store.now())
        await store.create(job.task, job.generation, limits=limits)

    async def test_racing_creates_stay_within_all_limits(self, store: TaskStore) -> None:
        """Whichever is the lowest, however many owners come at once."""
        limits = Limits(active_per_owner=5, submits_per_minute=4, in_flight_per_provider=6)

        async def create(number: int) -> bool:
            job = new_job(store.now(), owner=ANNA if number % 2 else BEN)
            try:
                await store.create(job.task, job.generation, limits=limits)
            except (ActiveJobLimit, SubmitRateLimit, ProviderBusy):
                return False
            return True

        assert sum(await race(create, 32)) == 6
        for owner in (ANNA, BEN):
            assert len(await store.list_tasks(owner, limit=100)) <= 4
