"""A task store against the plainest model of one: two dicts. Hypothesis looks for a difference.

A store that can be given a clock runs it so::

    class MyStoreMachine(TaskStoreMachine):
        async def open_store(self, clock):
            return await MyTaskStore.open(..., clock=clock)

    TestMyStoreMachine = MyStoreMachine.TestCase
    TestMyStoreMachine.settings = settings(deadline=None, max_examples=50, stateful_step_count=30)

After every step the whole store is compared to the model. The model shares no code with any store.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import zip_longest
from typing import TypeVar

from anyio.from_thread import start_blocking_portal
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from ttsorch.errors import ActiveJobLimit
from ttsorch.models import Clock, Generation, Job, Limits, Purged, StoredAudio, Task
from ttsorch.protocols import TaskStore
from ttsorch.states import (
    CancelDeferred,
    CancelRequested,
    CancelSettled,
    DeadlinePassed,
    Event,
    ProgressMade,
    Resubmit,
    ResultLost,
    ResultReady,
    Stored,
    StoreDeferred,
    StoreStarted,
    SubmitAccepted,
    SubmitDeferred,
    SubmitLost,
    SubmitStarted,
    TaskFailed,
    TicketArrived,
    allows,
)
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store_jobs import ANNA, BEN, CANCELLED, LOST, ids, moved, new_job

Result = TypeVar("Result")

_OWNERS = st.sampled_from([ANNA, BEN])
_SECONDS = st.sampled_from([0.0, 0.000001, 1.0, 5.0, 60.0])


def _events(now: datetime) -> Sequence[Event]:
    soon = now + timedelta(seconds=5)
    audio = StoredAudio("anna/g/1.wav", 1234, "ab" * 32, "audio/wav", 1.25)
    return (
        SubmitStarted(word="provider_submitting"),
        SubmitDeferred(error=LOST, retry_at=soon),
        SubmitLost(error=LOST, resolve_by=soon),
        Resubmit(accept_by=soon),
        SubmitAccepted(ticket={"job": 1}, check_at=soon),
        ProgressMade(word="rendering", elapsed=1.5, progress=0.25, check_at=soon),
        ResultReady(envelope={"url": "https://vendor.example/1"}, expires_at=soon),
        StoreStarted(),
        StoreDeferred(error=LOST, retry_at=soon),
        ResultLost(error=LOST, check_at=soon),
        Stored(audio=audio),
        TaskFailed(error=LOST),
        DeadlinePassed(),
        CancelRequested(error=CANCELLED),
        TicketArrived(ticket={"job": 2}),
        CancelDeferred(retry_at=soon),
        CancelSettled(),
    )


class TaskStoreMachine(RuleBasedStateMachine):
    """Subclass it and say how to open an empty store that goes by ``clock``."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.tasks: dict[str, Task] = {}
        self.generations: dict[str, Generation] = {}
        self.made = 0
        self.resources = ExitStack()
        self._portal = self.resources.enter_context(start_blocking_portal())
        self.store = self._portal.call(self.open_store, self.clock)

    async def open_store(self, clock: Clock) -> TaskStore:
        raise NotImplementedError

    def teardown(self) -> None:
        self._portal.call(self.store.aclose)
        self.resources.close()

    # --- steps ----------------------------------------------------------------------------------------

    @rule(
        target=jobs,
        owner=_OWNERS,
        key=st.sampled_from([None, None, "a", "b"]),
        lease=st.none() | _SECONDS,
        cap=st.sampled_from([None, None, 1, 3]),
    )
    def create(
        self, owner: str, key: str | None, lease: float | None, cap: int | None
    ) -> str | MultipleResults[str]:
        self.made += 1
        number = self.made
        job = new_job(
            self.clock(),
            owner=owner,
            id=f"task-{number}",
            generation_id=f"generation-{number}",
            idempotency_key=key,
        )
        expected = self._expected_create(job, lease, cap)
        create = partial(
            self.store.create, lease_seconds=lease, limits=Limits(active_per_owner=cap)
        )
        try:
            answer = self._ask(lambda: create(job.task, job.generation))
        except ActiveJobLimit:
            assert expected is None
            return multiple()
        assert answer == expected
        return answer.task.id

    @rule(job=jobs, data=st.data(), age=st.sampled_from([0, 0, 0, 1]), own=st.booleans())
    def replace(self, job: str, data: st.DataObject, age: int, own: bool) -> None:
        assume(job in self.tasks)
        later = self._moved(job, data)
        if not own:
            later = Job(replace(later.task, owner="somebody"), later.generation)
        version = self.tasks[job].version - age
        answer = self._ask(
            lambda: self.store.replace(later.task, later.generation, expected_version=version)
        )
        assert answer == (own and not age)
        if answer:
            self._write(later)

    @rule(job=jobs, data=st.data(), age=st.sampled_from([0, 0, 0, 1]), lease=_SECONDS)
    def claim(self, job: str, data: st.DataObject, age: int, lease: float) -> None:
        assume(job in self.tasks)
        before = self.tasks[job]
        later = self._moved(job, data)
        claim = partial(self.store.claim, lease_seconds=lease)
        version = before.version - age
        answer = self._ask(lambda: claim(later.task, later.generation, expected_version=version))
        if age or (before.lease_until is not None and before.lease_until > self.clock()):
            assert answer is None
            return
        self._write(later)
        self.tasks[job] = self._leased(replace(self.tasks[job], fence=before.fence + 1), lease)
        assert answer == self.tasks[job]

    @rule(job=jobs, age=st.sampled_from([0, 0, 1]), lease=_SECONDS)
    def renew(self, job: str, age: int, lease: float) -> None:
        assume(job in self.tasks)
        task = self.tasks[job]
        answer = self._ask(
            lambda: self.store.renew(job, fence=task.fence - age, lease_seconds=lease)
        )
        assert answer == (not age and task.lease_until is not None)
        if answer:
            self.tasks[job] = self._leased(task, lease)

    @rule(job=jobs, owner=_OWNERS)
    def record_poll(self, job: str, owner: str) -> None:
        answer = self._ask(lambda: self.store.record_poll(owner, job))
        task = self.tasks.get(job)
        if task is None or owner != task.owner or task.deleted_at is not None:
            assert answer is None
            return
        if not task.status.terminal:
            self.tasks[job] = replace(task, poll_count=task.poll_count + 1)
        assert answer == self._job(job)

    @rule(limit=st.integers(1, 4), hold=_SECONDS)
    def claim_due(self, limit: int, hold: float) -> None:
        answer = self._ask(lambda: self.store.claim_due(limit=limit, hold_seconds=hold))
        due = self._due_in_turns()[:limit]
        until = self.clock() + timedelta(seconds=hold)
        for job in due:
            self.tasks[job] = replace(self.tasks[job], next_action_at=until)
        assert list(answer) == [self._job(job) for job in due]

    def _due_in_turns(self) -> list[str]:
        never = datetime.max.replace(tzinfo=UTC)
        of_owner: dict[str, list[tuple[datetime, datetime, str]]] = {}
        for task in self.tasks.values():
            if task.next_action_at is not None and task.next_action_at <= self.clock():
                urgency = (task.result_expires_at or never, task.next_action_at, task.id)
                of_owner.setdefault(task.owner, []).append(urgency)
        turns = zip_longest(*(sorted(jobs) for jobs in of_owner.values()))
        return [job[-1] for turn in turns for job in sorted(filter(None, turn))]

    @rule(job=jobs, owner=_OWNERS)
    def delete_task(self, job: str, owner: str) -> None:
        answer = self._ask(lambda: self.store.delete_task(owner, job))
        task = self.tasks.get(job)
        assert answer == (task is not None and owner == task.owner and task.deleted_at is None)
        if task is not None and answer:
            self.tasks[job] = replace(task, deleted_at=self.clock())

    @rule(job=jobs, owner=_OWNERS)
    def delete_generation(self, job: str, owner: str) -> None:
        wanted = job.replace("task", "generation")
        answer = self._ask(lambda: self.store.delete_generation(owner, wanted))
        found = self.generations.get(wanted)
        assert answer == (found is not None and found.owner == owner)
        if answer:
            del self.generations[wanted]

    @rule(age=_SECONDS, limit=st.integers(1, 4), audio=st.booleans(), dry_run=st.booleans())
    def purge_ended(self, age: float, limit: int, audio: bool, dry_run: bool) -> None:
        answer = self._ask(
            lambda: self.store.purge_ended(
                older_than=age, limit=limit, audio=audio, dry_run=dry_run
            )
        )
        before = self.clock() - timedelta(seconds=age)
        tasks = [task for task in self._settled() if _is_of(task.completed_at, before)]
        tasks = sorted(tasks, key=lambda task: (task.completed_at, task.id))[:limit]
        generations = [
            generation
            for generation in self.generations.values()
            if audio
            and _is_of(generation.completed_at, before)
            and not self._unsettled(generation.task_id)
        ]
        generations = sorted(generations, key=lambda each: (each.completed_at, each.id))[:limit]
        more = max(len(tasks), len(generations)) >= limit
        self._check_purged(answer, Purged(len(tasks), len(generations), more=more), generations)
        if not dry_run:
            self._forget(tasks, generations)

    @rule(owner=_OWNERS, abandon=st.booleans(), dry_run=st.booleans())
    def purge_owned(self, owner: str, abandon: bool, dry_run: bool) -> None:
        answer = self._ask(
            lambda: self.store.purge_owned(owner, limit=1000, abandon_owed=abandon, dry_run=dry_run)
        )
        own = [task for task in self.tasks.values() if task.owner == owner]
        gone = [task for task in own if task.status.terminal]
        if not abandon:
            gone = [task for task in gone if task.next_action_at is None]
        active = {task.id for task in own if not task.status.terminal}
        generations = [
            each
            for each in self.generations.values()
            if each.owner == owner and each.task_id not in active
        ]
        kept = len(own) - len(gone)
        self._check_purged(answer, Purged(len(gone), len(generations), kept=kept), generations)
        if dry_run:
            return
        self._forget(gone, generations)
        for task in self.tasks.values():
            if task.owner == owner and task.status.terminal and task.deleted_at is None:
                self.tasks[task.id] = replace(task, deleted_at=self.clock())

    def _check_purged(
        self, answer: Purged, expected: Purged, generations: Sequence[Generation]
    ) -> None:
        # The keys of tasks whose generations stay may be among them too; other rows name those.
        keys = {generation.audio.key for generation in generations if generation.audio}
        assert keys <= set(answer.keys)
        assert replace(answer, keys=()) == expected

    @rule(seconds=_SECONDS)
    def advance_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # --- what holds after every step ------------------------------------------------------------------

    @invariant()
    def store_equals_model(self) -> None:
        self._ask(self._compare_all)

    async def _compare_all(self) -> None:
        for owner in (ANNA, BEN):
            unsettled = [t.id for t in self._newest_first(owner) if self._unsettled(t.id)]
            assert ids(await self.store.list_unsettled(owner, limit=1000)) == sorted(unsettled)
            visible = [t for t in self._newest_first(owner) if t.deleted_at is None]
            listed = await self.store.list_tasks(owner, limit=1000)
            assert list(listed) == [self._job(task.id) for task in visible]
            active = await self.store.list_tasks(owner, active=True, limit=1000)
            assert ids(active) == [task.id for task in visible if not task.status.terminal]
            history = await self.store.list_generations(owner, per_page=1000)
            assert {g.id: g for g in history.items} == {
                g.id: g for g in self.generations.values() if g.owner == owner
            }
        unknown = sorted(
            (task.created_at, task.id)
            for task in self.tasks.values()
            if task.outcome_open and (task.lease_until is None or task.lease_until <= self.clock())
        )
        assert ids(await self.store.list_unknown(limit=1000)) == [id for _, id in unknown]
        for task in self.tasks.values():
            if task.deleted_at is not None:
                found = await self.store.get(task.owner, task.id, include_deleted=True)
                assert found == self._job(task.id)

    # --- the model ------------------------------------------------------------------------------------

    def _expected_create(self, job: Job, lease: float | None, cap: int | None) -> Job | None:
        owned = [task for task in self.tasks.values() if task.owner == job.task.owner]
        for task in owned:
            if (
                task.idempotency_key is not None
                and task.idempotency_key == job.task.idempotency_key
            ):
                return self._job(task.id)
        if cap is not None and sum(not task.status.terminal for task in owned) >= cap:
            return None
        task = job.task if lease is None else self._leased(replace(job.task, fence=1), lease)
        self.tasks[task.id] = task
        if job.generation is not None:
            self.generations[job.generation.id] = job.generation
        return self._job(task.id)

    def _moved(self, job: str, data: st.DataObject) -> Job:
        """The job after an event that its phase allows; as it is, one version on, if there is none."""
        task = self.tasks[job]
        legal = [event for event in _events(self.clock()) if allows(task, event)]
        if not legal:
            return Job(replace(task, version=task.version + 1), self.generations.get(job))
        event = data.draw(st.sampled_from(legal), label="event")
        return moved(self._job(job), self.clock(), event)

    def _write(self, job: Job) -> None:
        stored = self.tasks[job.task.id]
        self.tasks[job.task.id] = replace(
            job.task,
            poll_count=stored.poll_count,
            fence=stored.fence,
            deleted_at=stored.deleted_at,
        )
        if job.generation is not None and job.generation.id in self.generations:
            self.generations[job.generation.id] = job.generation

    def _unsettled(self, task_id: str) -> bool:
        task = self.tasks.get(task_id)
        return task is not None and (not task.status.terminal or task.next_action_at is not None)

    def _settled(self) -> list[Task]:
        return [task for task in self.tasks.values() if not self._unsettled(task.id)]

    def _forget(self, tasks: Sequence[Task], generations: Sequence[Generation]) -> None:
        for task in tasks:
            del self.tasks[task.id]
        for generation in generations:
            del self.generations[generation.id]

    def _leased(self, task: Task, seconds: float) -> Task:
        until = self.clock() + timedelta(seconds=seconds)
        return replace(task, lease_until=until, next_action_at=until)

    def _job(self, task_id: str) -> Job:
        task = self.tasks[task_id]
        return Job(task, self.generations.get(task.generation_id or ""))

    def _newest_first(self, owner: str) -> list[Task]:
        owned = [task for task in self.tasks.values() if task.owner == owner]
        return sorted(owned, key=lambda task: (task.created_at, task.id), reverse=True)

    def _ask(self, call: Callable[[], Awaitable[Result]]) -> Result:
        return self._portal.call(call)


def _is_of(moment: datetime | None, before: datetime) -> bool:
    return moment is not None and moment <= before
