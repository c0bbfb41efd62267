"""The part of the task store's suite about what is not to be done now: pauses, and tasks put aside."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ttsorch.errors import ProviderBusy, SubmitRateLimit
from ttsorch.models import Job, Limits, Pause, Phase, StuckTask, Task
from ttsorch.protocols import TaskStore
from ttsorch.states import StoreStarted
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Advance,
    completed,
    generation_of,
    ids,
    moved,
    new_clone,
    new_job,
    race,
    ready,
    running,
    started,
    stored,
    unanswered,
)

_SHORT = 0.5
_LONGER = 0.6
_SPREAD = timedelta(seconds=3)


async def _pause(store: TaskStore, seconds: float = 60, *, provider: str = "fake") -> None:
    assert await store.pause_provider(provider, seconds=seconds, reason="busy") is not None


async def _sent(store: TaskStore, job: Job) -> bool:
    """Whether a claim of the queued ``job`` for a call to its provider was granted."""
    begun = started(job, store.now())
    task = await store.claim(
        begun.task,
        begun.generation,
        expected_version=job.task.version,
        lease_seconds=60,
        sends=True,
    )
    return task is not None


async def _aside(
    store: TaskStore, job: Job, *, reason: str = "KeyError", hold: float = 10, most: float = 25
) -> bool:
    return await store.put_aside(
        job.task.id,
        expected_version=job.task.version,
        reason=reason,
        hold_seconds=hold,
        most_seconds=most,
    )


async def _waits(store: TaskStore, job: Job) -> float:
    """Until somebody looks at the job again, in seconds."""
    found = await store.get(job.task.owner, job.task.id)
    assert found is not None
    assert found.task.next_action_at is not None
    return (found.task.next_action_at - store.now()).total_seconds()


def _ending(task: Task, moment: datetime) -> Task:
    """One version on, and with this deadline for the phase it is in."""
    version = task.version + 1
    if task.phase is Phase.RUNNING:
        return replace(task, version=version, finish_by=moment)
    return replace(task, version=version, accept_by=moment)


class PauseCases:
    # --- pauses ---------------------------------------------------------------------------------------

    async def test_a_pause_lasts_as_long_as_it_says(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """By the database's clock; then it is over by itself."""
        before = store.now()
        until = await store.pause_provider("fake", seconds=_SHORT, reason="busy")
        after = store.now()
        assert until is not None
        assert before <= until - timedelta(seconds=_SHORT) <= after
        assert await store.list_pauses() == [Pause("fake", until, "busy")]
        await advance(_LONGER)
        assert await store.list_pauses() == []
        assert await store.pause_provider("fake", seconds=_SHORT, reason="busy") is not None

    async def test_a_pause_is_only_made_longer(self, store: TaskStore) -> None:
        """A shorter one changes nothing and is told so; each provider has its own."""
        await _pause(store, 60)
        assert await store.pause_provider("fake", seconds=30, reason="short") is None
        later = await store.pause_provider("fake", seconds=90, reason="long")
        other = await store.pause_provider("other", seconds=5, reason="other")
        assert later is not None
        assert other is not None
        assert await store.list_pauses() == [
            Pause("fake", later, "long"),
            Pause("other", other, "other"),
        ]

    async def test_of_many_pauses_at_once_the_longest_holds(self, store: TaskStore) -> None:
        """However the answers of a vendor come in."""
        await race(
            lambda number: store.pause_provider(
                "fake", seconds=10 + (number * 7) % 20, reason=str((number * 7) % 20)
            ),
            20,
        )
        assert [pause.reason for pause in await store.list_pauses()] == ["19"]

    async def test_a_pause_can_be_ended(self, store: TaskStore) -> None:
        """Once; what was refused is taken again."""
        await _pause(store)
        assert await store.end_pause("fake")
        assert not await store.end_pause("fake")
        assert not await store.end_pause("other")
        assert await store.list_pauses() == []
        job = new_job(store.now())
        assert await store.create(job.task, job.generation) == job
        assert await _sent(store, job)

    async def test_a_paused_provider_gets_no_new_task(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """A create is refused for as long as the pause lasts, clones too, and writes nothing; another
        provider's isn't."""
        await _pause(store, _SHORT)
        job, clone = new_job(store.now()), new_clone(store.now())
        other = new_job(store.now())
        other = Job(replace(other.task, provider="other"), other.generation)
        with pytest.raises(ProviderBusy) as refused:
            await store.create(job.task, job.generation, lease_seconds=60)
        with pytest.raises(ProviderBusy):
            await store.create(clone.task, None)
        assert refused.value.retry_after is not None
        assert 0 < refused.value.retry_after <= _SHORT
        assert await store.get(ANNA, job.task.id) is None
        assert await store.get_generation(ANNA, generation_of(job).id) is None
        assert await store.get(ANNA, clone.task.id) is None
        assert await store.create(other.task, other.generation) == other
        await advance(_LONGER)
        assert await store.create(job.task, job.generation) == job

    async def test_a_pause_lets_repeats_and_what_has_ended_through(self, store: TaskStore) -> None:
        """A repeated key is answered with its job; a task that sends nothing is nobody's trouble."""
        first = await stored(store, new_job(store.now(), idempotency_key="key"), running)
        await _pause(store)
        repeat = new_job(store.now(), idempotency_key="key")
        assert await store.create(repeat.task, repeat.generation) == first
        assert await store.create(first.task, first.generation) == first
        ended = completed(new_job(store.now()), store.now())
        assert await store.create(ended.task, ended.generation) == ended

    async def test_limits_and_a_pause(self, store: TaskStore) -> None:
        """The owner's limits are told first; a pause before what is in flight, which says no time."""
        await stored(store, new_job(store.now()))
        await _pause(store)
        mine, his = new_job(store.now()), new_job(store.now(), owner=BEN)
        limits = Limits(submits_per_minute=1, in_flight_per_provider=1)
        with pytest.raises(SubmitRateLimit):
            await store.create(mine.task, mine.generation, limits=limits)
        with pytest.raises(ProviderBusy) as refused:
            await store.create(his.task, his.generation, limits=limits)
        assert refused.value.retry_after is not None
        assert 50 < refused.value.retry_after <= 60

    async def test_racing_creates_at_a_paused_provider(self, store: TaskStore) -> None:
        """However many come at once, none is taken."""
        await _pause(store)

        async def create(_: int) -> None:
            job = new_job(store.now())
            with pytest.raises(ProviderBusy):
                await store.create(job.task, job.generation)

        await race(create, 20)
        assert await store.list_tasks(ANNA) == []

    async def test_nothing_is_claimed_to_be_sent_while_paused(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """What sends nothing is claimed as ever: a result is still fetched."""
        job = await stored(store, new_job(store.now()))
        result = await stored(store, new_job(store.now()), ready)
        await _pause(store, _SHORT)
        assert not await _sent(store, job)
        assert await store.get(ANNA, job.task.id) == job
        storing = moved(result, store.now(), StoreStarted())
        assert await store.claim(
            storing.task,
            storing.generation,
            expected_version=result.task.version,
            lease_seconds=60,
        )
        await advance(_LONGER)
        assert await _sent(store, job)

    async def test_claim_due_puts_off_what_would_be_sent(self, store: TaskStore) -> None:
        """To the end of the pause and a little more; what runs, and another provider's, is handed out,
        though its turn came after."""
        now = store.now()
        waiting = [
            await stored(store, new_job(now - timedelta(seconds=60 - age))) for age in range(5)
        ]
        at_work = await stored(store, new_job(now - timedelta(seconds=9)), running)
        other = new_job(now - timedelta(seconds=8))
        other = Job(replace(other.task, provider="other"), other.generation)
        await store.create(other.task, other.generation)
        until = await store.pause_provider("fake", seconds=60, reason="busy")
        assert until is not None
        due = await store.claim_due(limit=2, hold_seconds=10)
        assert sorted(ids(due)) == sorted(ids([at_work, other]))
        for job in waiting:
            found = await store.get(ANNA, job.task.id)
            assert found is not None
            assert found.task.next_action_at is not None
            assert until <= found.task.next_action_at <= until + _SPREAD
            assert replace(found.task, next_action_at=job.task.next_action_at) == job.task
        assert await store.claim_due(limit=10, hold_seconds=10) == []

    async def test_a_pause_is_no_reason_to_miss_a_deadline(
        self, store: TaskStore, advance: Advance
    ) -> None:
        """What is put off is looked at by its deadline, and handed out after it, paused or not."""
        job = new_job(store.now())
        last = store.now() + timedelta(seconds=_SHORT)
        job = Job(replace(job.task, accept_by=last), job.generation)
        await store.create(job.task, job.generation)
        await _pause(store)
        assert await store.claim_due(limit=10, hold_seconds=60) == []
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert found.task.next_action_at == last
        await advance(_LONGER)
        assert ids(await store.claim_due(limit=10, hold_seconds=60)) == [job.task.id]

    # --- what can't be taken further ------------------------------------------------------------------

    async def test_put_aside_waits_longer_each_time(self, store: TaskStore) -> None:
        """Counted, twice as long each time up to the most, at the same version; and listed."""
        job = await stored(store, new_job(store.now()), running)
        waits = []
        for _ in range(4):
            assert await _aside(store, job)
            waits.append(await _waits(store, job))
        for wait, expected in zip(waits, [10, 20, 25, 25], strict=True):
            assert expected - 1 < wait <= expected
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert replace(found.task, next_action_at=job.task.next_action_at) == job.task
        (stuck,) = await store.list_stuck()
        assert stuck == StuckTask(
            id=job.task.id,
            owner=ANNA,
            provider="fake",
            kind="generate",
            phase="running",
            failures=4,
            reason="KeyError",
            next_action_at=found.task.next_action_at,
        )

    async def test_put_aside_keeps_deadlines(self, store: TaskStore) -> None:
        """A task is looked at when it has to end: by accept_by while nobody has taken it, else by
        finish_by; after that it waits as any other."""
        last = timedelta(seconds=5)
        for move in (None, unanswered, running):
            job = await stored(store, new_job(store.now()), move)
            now = store.now()
            soon = _ending(job.task, now + last)
            assert await store.replace(soon, None, expected_version=job.task.version)
            assert await _aside(store, Job(soon, None))
            assert 4 < await _waits(store, job) <= 5
            late = _ending(soon, now - last)
            assert await store.replace(late, None, expected_version=soon.version)
            assert await _aside(store, Job(late, None))
            assert 9 < await _waits(store, job) <= 10

    async def test_a_step_forward_ends_the_count(self, store: TaskStore) -> None:
        """A transition, or a claim, and the next trouble is the first."""
        first = await stored(store, new_job(store.now()))
        assert await _aside(store, first)
        later = running(first, store.now())
        version = first.task.version
        assert await store.replace(later.task, later.generation, expected_version=version)
        assert await store.list_stuck() == []
        assert await _aside(store, later)
        assert 9 < await _waits(store, later) <= 10
        second = await stored(store, new_job(store.now()))
        assert await _aside(store, second)
        assert await _sent(store, second)
        assert [stuck.id for stuck in await store.list_stuck()] == [first.task.id]

    async def test_put_aside_of_what_has_moved_on_is_refused(self, store: TaskStore) -> None:
        """Another version, a task that owes nothing, one that isn't there: nothing is written."""
        job = await stored(store, new_job(store.now()))
        later = running(job, store.now())
        await store.replace(later.task, later.generation, expected_version=job.task.version)
        assert not await _aside(store, job)
        ended = await stored(store, new_job(store.now()), completed)
        assert not await _aside(store, ended)
        assert not await _aside(store, new_job(store.now()))
        assert await store.list_stuck() == []
        assert await store.get(ANNA, job.task.id) == later

    async def test_list_stuck_shows_the_worst_first(self, store: TaskStore) -> None:
        """Of all owners, deleted ones too, and no more than asked for."""
        hers, his = [
            await stored(store, new_job(store.now(), owner=owner, id=f"t-{owner}"))
            for owner in (ANNA, BEN)
        ]
        worst = await stored(store, new_job(store.now(), id="t-z"))
        await store.delete_task(ANNA, worst.task.id)
        for job in (his, hers, worst, worst):
            assert await _aside(store, job)
        listed = await store.list_stuck()
        assert [stuck.id for stuck in listed] == ids([worst, hers, his])
        assert [stuck.id for stuck in await store.list_stuck(limit=1)] == ["t-z"]
