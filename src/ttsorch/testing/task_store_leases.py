"""The part of the task store's suite about who works on what: leases, due work, unknown outcomes."""

from datetime import datetime, timedelta

from ttsorch.models import Job, Task
from ttsorch.protocols import TaskStore
from ttsorch.states import CancelDeferred, CancelSettled, ResultReady, SubmitDeferred
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    LOST,
    Advance,
    Move,
    cancelled,
    claimed,
    completed,
    generation_of,
    ids,
    leased,
    moved,
    new_job,
    owing,
    race,
    running,
    started,
    stored,
    unanswered,
)

_CONCURRENT = 20
_SHORT_LEASE = 0.5
_LONGER = 0.6


async def _row(store: TaskStore, job: Job) -> Task:
    found = await store.get(job.task.owner, job.task.id)
    assert found is not None
    return found.task


def _ready_for(hours: int) -> Move:
    """Ready, due at once, and to be had for so many hours."""

    def move(job: Job, now: datetime) -> Job:
        lasting = ResultReady(envelope={"url": "u"}, expires_at=now + timedelta(hours=hours))
        return moved(running(job, now), now, lasting)

    return move


class LeaseCases:
    # --- claim ----------------------------------------------------------------------------------------

    async def test_claim_writes_and_leases(self, store: TaskStore) -> None:
        """A claim stores both rows and returns the task as stored, leased and with a fencing token."""
        job = await stored(store, new_job(store.now()))
        begun = started(job, store.now())
        before = store.now()
        task = await store.claim(begun.task, begun.generation, expected_version=1, lease_seconds=60)
        after = store.now()
        assert task is not None
        assert (task.version, task.phase, task.fence) == (2, begun.task.phase, 1)
        assert task.lease_until is not None
        assert before <= task.lease_until - timedelta(seconds=60) <= after
        assert task.next_action_at == task.lease_until
        assert await store.get(ANNA, job.task.id) == Job(task, begun.generation)

    async def test_claim_under_a_live_lease_is_refused(self, store: TaskStore) -> None:
        """While a lease is live nobody else gets one, even with the right version."""
        job = await leased(store)
        assert await claimed(store, job) is None
        assert await store.get(ANNA, job.task.id) == job

    async def test_claim_of_another_version_is_refused(self, store: TaskStore) -> None:
        """A stale version gets no lease, and nothing is written."""
        first = await stored(store, new_job(store.now()))
        job = await stored(store, first, lambda job, now: running(job, now))
        assert await claimed(store, first) is None
        assert await store.get(ANNA, job.task.id) == job

    async def test_claim_is_the_owners_alone(self, store: TaskStore) -> None:
        """A task given with another owner, or a missing one, can't be claimed."""
        job = await stored(store, new_job(store.now()))
        assert await claimed(store, new_job(store.now(), owner=BEN, id=job.task.id)) is None
        assert await claimed(store, new_job(store.now(), id="missing")) is None
        assert await store.get(ANNA, job.task.id) == job

    async def test_one_of_many_concurrent_claims_wins(self, store: TaskStore) -> None:
        """Of claims at once exactly one is granted."""
        job = await stored(store, new_job(store.now()))
        granted = await race(lambda _: claimed(store, job), _CONCURRENT)
        winners = [grant for grant in granted if grant]
        assert len(winners) == 1
        assert await store.get(ANNA, job.task.id) == winners[0]

    async def test_an_expired_lease_can_be_taken(self, store: TaskStore, advance: Advance) -> None:
        """Once a lease has run out, exactly one of many claims at once takes it, with a higher token."""
        job = await leased(store, _SHORT_LEASE)
        await advance(_LONGER)
        granted = await race(lambda _: claimed(store, job), _CONCURRENT)
        assert [grant.task.fence for grant in granted if grant] == [job.task.fence + 1]

    async def test_a_released_lease_can_be_taken(self, store: TaskStore) -> None:
        """After a transition that releases the lease the next claim is granted, with a higher token."""
        job = await leased(store)
        deferral = SubmitDeferred(error=LOST, retry_at=store.now())
        released = moved(job, store.now(), deferral)
        assert await store.replace(released.task, released.generation, expected_version=2)
        again = await claimed(store, released)
        assert again is not None
        assert again.task.fence == 2

    async def test_fence_does_not_depend_on_the_given_task(self, store: TaskStore) -> None:
        """Who claims from a read that is older than the last lease still gets a new token."""
        job = await stored(store, new_job(store.now()))
        first = await claimed(store, job)
        assert first is not None
        deferral = SubmitDeferred(error=LOST, retry_at=store.now())
        released = moved(Job(first.task, job.generation), store.now(), deferral)
        assert await store.replace(released.task, None, expected_version=2)
        unaware = moved(started(job, store.now()), store.now(), deferral)
        second = await claimed(store, unaware)
        assert second is not None
        assert second.task.fence == 2

    async def test_claim_keeps_the_poll_count(self, store: TaskStore) -> None:
        """A poll that came between the read and the claim stays counted."""
        job = await stored(store, new_job(store.now()))
        await store.record_poll(ANNA, job.task.id)
        claim = await claimed(store, job)
        assert claim is not None
        assert claim.task.poll_count == 1

    async def test_claim_leaves_a_deleted_generation_deleted(self, store: TaskStore) -> None:
        """A claim does not write back a generation that its user deleted."""
        job = await stored(store, new_job(store.now()))
        await store.delete_generation(ANNA, generation_of(job).id)
        claim = await claimed(store, job)
        assert claim is not None
        assert await store.get(ANNA, job.task.id) == Job(claim.task, None)

    # --- renew ----------------------------------------------------------------------------------------

    async def test_renew_pushes_the_lease(self, store: TaskStore, advance: Advance) -> None:
        """A renewed lease outlives its first end; the version stays, and nobody else gets a lease."""
        job = await leased(store, _SHORT_LEASE)
        before = store.now()
        assert await store.renew(job.task.id, fence=1, lease_seconds=60)
        await advance(_LONGER)
        task = await _row(store, job)
        assert task.lease_until is not None
        assert task.lease_until >= before + timedelta(seconds=60)
        assert task.next_action_at == task.lease_until
        assert task.version == job.task.version
        assert await claimed(store, job) is None

    async def test_renew_with_a_stale_token_is_refused(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """Whose lease was taken over can't renew it, and does not disturb the new holder."""
        job = await leased(store, _SHORT_LEASE)
        await advance(_LONGER)
        taken = await claimed(store, job)
        assert taken is not None
        assert not await store.renew(job.task.id, fence=job.task.fence, lease_seconds=600)
        assert await store.get(ANNA, job.task.id) == taken

    async def test_renew_of_a_released_lease_is_refused(self, store: TaskStore) -> None:
        """A released lease stays released, though the token is still the row's."""
        job = await leased(store)
        ended = cancelled(job, store.now())
        assert await store.replace(ended.task, ended.generation, expected_version=2)
        assert not await store.renew(job.task.id, fence=1, lease_seconds=60)
        assert await store.get(ANNA, job.task.id) == ended

    async def test_renew_of_a_missing_task_is_refused(self, store: TaskStore) -> None:
        """There is no lease on a task that isn't there."""
        assert not await store.renew("missing", fence=1, lease_seconds=60)

    # --- claim_due ------------------------------------------------------------------------------------

    async def test_claim_due_hands_out_the_earliest_first(self, store: TaskStore) -> None:
        """At most limit jobs, by next_action_at, with their generations, held from now on."""
        now = store.now()
        jobs = [
            await stored(store, new_job(now - timedelta(seconds=age))) for age in (20, 40, 10, 30)
        ]
        before = store.now()
        due = await store.claim_due(limit=3, hold_seconds=60)
        after = store.now()
        assert ids(due) == ids([jobs[1], jobs[3], jobs[0]])
        assert [job.generation for job in due] == [
            job.generation for job in (jobs[1], jobs[3], jobs[0])
        ]
        for job in due:
            assert job.task.next_action_at is not None
            assert before <= job.task.next_action_at - timedelta(seconds=60) <= after
            assert await store.get(ANNA, job.task.id) == job
        assert ids(await store.claim_due(limit=3, hold_seconds=60)) == [jobs[2].task.id]
        assert await store.claim_due(limit=3, hold_seconds=60) == []

    async def test_claim_due_lets_owners_take_turns(self, store: TaskStore) -> None:
        """However long one owner's backlog is, another's first job is in the first turn."""
        now = store.now()
        backlog = [
            await stored(store, new_job(now - timedelta(seconds=100 - age))) for age in range(6)
        ]
        hers = [
            await stored(store, new_job(now - timedelta(seconds=5 - age), owner=BEN))
            for age in range(2)
        ]
        first = ids(await store.claim_due(limit=4, hold_seconds=60))
        assert first == ids([backlog[0], hers[0], backlog[1], hers[1]])
        assert ids(await store.claim_due(limit=9, hold_seconds=60)) == ids(backlog[2:])

    async def test_claim_due_prefers_what_expires_soonest(self, store: TaskStore) -> None:
        """A result that will be gone is fetched before one that stays, also if that one is due longer."""
        now = store.now()
        past = now - timedelta(seconds=90)
        waiting = await stored(store, new_job(past))
        expiring = [await stored(store, new_job(past), _ready_for(hours)) for hours in (3, 1, 2)]
        assert ids(await store.claim_due(limit=9, hold_seconds=60)) == ids(
            [expiring[1], expiring[2], expiring[0], waiting]
        )

    async def test_claim_due_gives_each_job_to_one_caller(self, store: TaskStore) -> None:
        """Of many callers at once no two get the same job, and none is left over."""
        jobs = [await stored(store, new_job(store.now())) for _ in range(30)]
        handed = await race(lambda _: store.claim_due(limit=5, hold_seconds=60), 8)
        assert sorted(id for due in handed for id in ids(due)) == sorted(ids(jobs))

    async def test_claim_due_skips_what_is_not_due(self, store: TaskStore) -> None:
        """Jobs under a live lease, jobs for later and jobs that owe nothing are left alone."""
        await leased(store)
        await stored(store, new_job(store.now() + timedelta(hours=1)))
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now()), cancelled)
        assert await store.claim_due(limit=10, hold_seconds=60) == []

    async def test_claim_due_includes_what_is_owed_after_the_end(self, store: TaskStore) -> None:
        """An ended task that still owes its provider a cancel is due, until that is settled."""
        job = await stored(store, new_job(store.now()), owing)
        assert ids(await store.claim_due(limit=10, hold_seconds=0)) == [job.task.id]
        deferred = moved(job, store.now(), CancelDeferred(retry_at=store.now()))
        version = job.task.version
        assert await store.replace(deferred.task, None, expected_version=version)
        assert ids(await store.claim_due(limit=10, hold_seconds=0)) == [job.task.id]
        settled = moved(deferred, store.now(), CancelSettled())
        assert await store.replace(settled.task, None, expected_version=version + 1)
        assert await store.claim_due(limit=10, hold_seconds=0) == []

    async def test_claim_due_includes_deleted_tasks(self, store: TaskStore) -> None:
        """What a deleted task still owes is handed out."""
        job = await stored(store, new_job(store.now()), owing)
        await store.delete_task(ANNA, job.task.id)
        due = await store.claim_due(limit=10, hold_seconds=60)
        assert ids(due) == [job.task.id]
        assert due[0].task.deleted_at is not None

    async def test_held_and_leased_jobs_come_back(self, store: TaskStore, advance: Advance) -> None:
        """When who got a job dies, it is due again after the hold, or the lease, has passed."""
        held = await stored(store, new_job(store.now()))
        await store.claim_due(limit=10, hold_seconds=_SHORT_LEASE)
        abandoned = await leased(store, _SHORT_LEASE)
        assert await store.claim_due(limit=10, hold_seconds=60) == []
        await advance(_LONGER)
        due = await store.claim_due(limit=10, hold_seconds=60)
        assert sorted(ids(due)) == sorted(ids([held, abandoned]))

    async def test_claim_due_gives_no_lease(self, store: TaskStore) -> None:
        """Who polls a job that was handed out can still claim it, at the version it had."""
        job = await stored(store, new_job(store.now()))
        await store.claim_due(limit=10, hold_seconds=60)
        assert await claimed(store, job) is not None

    # --- list_unknown ---------------------------------------------------------------------------------

    async def test_list_unknown(self, store: TaskStore) -> None:
        """Tasks of all owners whose submit was never answered, ended and deleted ones too, oldest first."""
        now = store.now()
        ages = [timedelta(seconds=age) for age in (10, 30, 20)]
        waiting = await stored(store, new_job(now - ages[0]), unanswered)
        ended = await stored(
            store,
            new_job(now - ages[1], owner=BEN),
            lambda job, now: cancelled(unanswered(job, now), now),
        )
        hidden = await stored(store, new_job(now - ages[2]), unanswered)
        await store.delete_task(ANNA, hidden.task.id)
        await stored(store, new_job(now), running)
        await stored(store, new_job(now))
        unknown = await store.list_unknown()
        assert ids(unknown) == ids([ended, hidden, waiting])
        assert unknown[0] == ended
        assert ids(await store.list_unknown(limit=2)) == ids([ended, hidden])

    async def test_a_submit_under_way_is_not_unknown(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """While the lease of a submit is live its answer may still come; after that it is unknown."""
        job = await leased(store, _SHORT_LEASE)
        assert await store.list_unknown() == []
        await advance(_LONGER)
        assert ids(await store.list_unknown()) == [job.task.id]
