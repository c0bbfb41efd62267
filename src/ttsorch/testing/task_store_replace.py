"""The part of the task store's suite about compare-and-set."""

from dataclasses import replace

from ttsorch.models import Job
from ttsorch.protocols import TaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    cancelled,
    completed,
    generation_of,
    leased,
    new_job,
    race,
    running,
    started,
    stored,
)

_CONCURRENT = 20


class ReplaceCases:
    async def test_replace_writes_both_rows(self, store: TaskStore) -> None:
        """After a replace the task and its generation are both the new ones."""
        job = await stored(store, new_job(store.now()))
        later = completed(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=1)
        assert await store.get(ANNA, job.task.id) == later
        generation = generation_of(later)
        assert await store.get_generation(ANNA, generation.id) == generation

    async def test_replace_of_another_version_writes_nothing(self, store: TaskStore) -> None:
        """When the stored version isn't the expected one, neither row changes."""
        queued = new_job(store.now())
        job = await stored(store, queued, running)
        late = completed(queued, store.now())
        for stale in (1, job.task.version + 1):
            assert not await store.replace(late.task, late.generation, expected_version=stale)
        assert await store.get(ANNA, job.task.id) == job

    async def test_replace_is_the_owners_alone(self, store: TaskStore) -> None:
        """Another owner's task can't be replaced, nor a missing one be made."""
        job = await stored(store, new_job(store.now()))
        later = cancelled(job, store.now())
        foreign = replace(later.task, owner=BEN)
        missing = replace(later.task, id="missing")
        assert not await store.replace(foreign, None, expected_version=1)
        assert not await store.replace(missing, None, expected_version=1)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(ANNA, "missing") is None

    async def test_one_of_many_concurrent_replaces_wins(self, store: TaskStore) -> None:
        """Of writers that all expect the same version exactly one succeeds, and its rows are stored."""
        job = await stored(store, new_job(store.now()))
        begun = started(job, store.now())
        writes = [replace(begun.task, word=f"writer {n}") for n in range(_CONCURRENT)]
        won = await race(
            lambda n: store.replace(writes[n], begun.generation, expected_version=1), _CONCURRENT
        )
        assert won.count(True) == 1
        expected = Job(writes[won.index(True)], begun.generation)
        assert await store.get(ANNA, job.task.id) == expected

    async def test_replace_keeps_what_is_the_stores_own(self, store: TaskStore) -> None:
        """poll_count, fence and deleted_at stay as stored, whatever the given task says."""
        job = await leased(store)
        await store.record_poll(ANNA, job.task.id)
        later = cancelled(job, store.now()).task
        written = replace(later, fence=9, poll_count=9, deleted_at=store.now())
        assert await store.replace(written, None, expected_version=2)
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert (found.task.fence, found.task.poll_count, found.task.deleted_at) == (1, 1, None)

    async def test_replace_writes_the_lease_and_the_next_action(self, store: TaskStore) -> None:
        """A transition that releases the lease and owes nothing more leaves both empty in the row."""
        job = await leased(store)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=2)
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert (found.task.lease_until, found.task.next_action_at) == (None, None)

    async def test_replace_leaves_a_deleted_generation_deleted(self, store: TaskStore) -> None:
        """A generation that its user deleted is not written back; its task still moves on."""
        job = await stored(store, new_job(store.now()), running)
        generation = generation_of(job)
        assert await store.delete_generation(ANNA, generation.id)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=job.task.version)
        assert await store.get_generation(ANNA, generation.id) is None
        assert await store.get(ANNA, job.task.id) == Job(later.task, None)

    async def test_replace_of_a_deleted_task(self, store: TaskStore) -> None:
        """A deleted task still moves on, and stays deleted."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"), running)
        await store.delete_task(ANNA, job.task.id)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=job.task.version)
        assert await store.get(ANNA, job.task.id) is None
        hidden = await store.get(ANNA, job.task.id, include_deleted=True)
        assert hidden is not None
        assert hidden.task.phase == later.task.phase
        assert hidden.task.deleted_at is not None
