"""A hypothesis state machine over the whole library: users, crashes, lost replies and a wandering clock.

Every rule runs in a process of its own (an orchestrator that is opened and closed, or crashes), over stores
and a fake vendor that outlive it. After each rule the invariants of the design are checked on every task;
at the end faults stop, time goes by, and every task must have ended (I15).

To run it over another store::

    class TestMyStore(OrchestratorMachine.TestCase): ...

with :attr:`OrchestratorMachine.make_tasks` and :attr:`~OrchestratorMachine.make_blobs` overridden.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ttsorch.errors import (
    ActiveJobLimit,
    Category,
    IdempotencyConflict,
    NotFound,
    ProviderUnavailable,
    ResultExpired,
    TtsorchError,
)
from ttsorch.models import Clock, ErrorInfo, Job, OnUnknown, Policy
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore, TaskStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.faults import Crash, Fault, FaultPlan, faulty
from ttsorch.testing.invariants import check_blobs, check_ledger, check_rows, check_step
from ttsorch.testing.speech import a_request

Known: TypeAlias = tuple[str, str]
Verb: TypeAlias = Callable[[Orchestrator], Awaitable[None]]

OWNERS = ("owner-1", "owner-2")
MOST_ACTIVE = 3
POLICY = Policy(shutdown_grace=0.01, commit=1.0, insist=1.0, max_resubmits=2, submit_backoff=0.001)

_plans = st.none() | st.tuples(st.sampled_from(Fault), st.integers(1, 30))
_owners = st.sampled_from(OWNERS)
_picks = st.integers(0, 99)
_errors = {
    "submit": lambda: lost_reply(),
    "check": ProviderUnavailable,
    "fetch": ResultExpired,
    "cancel": ProviderUnavailable,
}


class OrchestratorMachine(RuleBasedStateMachine):
    """Rules are what users, operators, vendors and the weather do."""

    def make_tasks(self, clock: Clock) -> TaskStore:
        """The store under test, on this clock; closed at the end."""
        return MemoryTaskStore(clock=clock)

    def make_blobs(self, clock: Clock) -> BlobStore:
        """The blob store under test; closed at the end."""
        return MemoryBlobStore(clock=clock)

    @initialize(
        direct=st.booleans(), fetchable=st.booleans(), on_unknown=st.sampled_from(OnUnknown)
    )
    def open_the_world(self, direct: bool, fetchable: bool, on_unknown: OnUnknown) -> None:
        """One vendor per run: a job provider, or a direct one with a URL or with bytes."""
        # A file system stamps its files with real time, so time starts there.
        self.clock = ManualClock(datetime.now(UTC))
        self.tasks = self.make_tasks(self.clock)
        self.blobs = self.make_blobs(self.clock)
        self.on_unknown = on_unknown
        self.provider = (
            FakeDirectProvider(fetchable=fetchable)
            if direct
            else FakeJobProvider(checks_until_ready=1)
        )
        self.seen: dict[str, Job] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}

    # --- what users do --------------------------------------------------------------------------------

    @rule(
        owner=_owners,
        text=st.sampled_from(["One.", "Two."]),
        key=st.none() | st.sampled_from(["a", "b"]),
        fault=_plans,
    )
    def submit(
        self, owner: str, text: str, key: str | None, fault: tuple[Fault, int] | None
    ) -> None:
        """Repeated keys give the same task, or a conflict (I13); the cap holds (I16)."""
        jobs: list[Job] = []

        async def verb(tts: Orchestrator) -> None:
            try:
                jobs.append(await tts.submit(a_request(text), owner=owner, idempotency_key=key))
            except IdempotencyConflict:
                assert self.keys[owner, key or ""][0] != text
            except ActiveJobLimit:
                active = await self.tasks.list_tasks(owner, active=True, limit=50)
                assert len(active) >= MOST_ACTIVE or fault is not None

        self._run(verb, fault)
        self._notice()
        if jobs and key is not None:
            task_id = jobs[0].task.id
            assert self.keys.setdefault((owner, key), (text, task_id)) == (text, task_id)

    @rule(pick=_picks, polls=st.integers(1, 4), fault=_plans)
    def poll(self, pick: int, polls: int, fault: tuple[Fault, int] | None) -> None:
        """Polls at once: each answered one is counted once while the task is active (I9, I10)."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        before, checks = self.seen[task_id].task, self.provider.ledger.checks
        answers: list[Job] = []

        async def one(tts: Orchestrator) -> None:
            try:
                answers.append(await tts.poll_once(task_id, owner=owner))
            except NotFound:
                assert before.deleted_at is not None

        async def verb(tts: Orchestrator) -> None:
            async with anyio.create_task_group() as group:
                for _ in range(polls):
                    group.start_soon(one, tts)

        self._run(verb, fault)
        assert self.provider.ledger.checks - checks <= polls
        if fault is None and before.deleted_at is None:
            counted = {a.task.poll_count for a in answers if a.task.poll_count > before.poll_count}
            assert len(answers) == polls
            assert self._stored(owner, task_id).task.poll_count == before.poll_count + len(counted)

    @rule(pick=_picks, fault=_plans)
    def cancel(self, pick: int, fault: tuple[Fault, int] | None) -> None:
        """A cancel that is answered has ended the task, one way or another (I8)."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known

        async def verb(tts: Orchestrator) -> None:
            try:
                assert (await tts.cancel(task_id, owner=owner)).task.status.terminal
            except NotFound:
                assert self.seen[task_id].task.deleted_at is not None

        self._run(verb, fault)

    @rule(pick=_picks, fault=_plans)
    def everybody_at_once(self, pick: int, fault: tuple[Fault, int] | None) -> None:
        """Two processes: polls, a cancel and sweeps of one task race."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known

        async def safely(call: Callable[[], Awaitable[object]]) -> None:
            try:
                await call()
            except TtsorchError:
                return

        async def verb(tts: Orchestrator) -> None:
            async with self._orchestrator(None) as other, anyio.create_task_group() as group:
                for each in (tts, other):
                    group.start_soon(safely, lambda e=each: e.poll_once(task_id, owner=owner))
                    group.start_soon(safely, each.sweep_once)
                group.start_soon(safely, lambda: other.cancel(task_id, owner=owner))

        self._run(verb, fault)

    @rule(pick=_picks, fault=_plans)
    def delete_task(self, pick: int, fault: tuple[Fault, int] | None) -> None:
        """An active task is cancelled first; its generation stays."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        self._run(lambda tts: tts.delete_task(task_id, owner=owner), fault)

    @rule(pick=_picks, fault=_plans)
    def delete_generation(self, pick: int, fault: tuple[Fault, int] | None) -> None:
        """The row goes, then its blob."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        generation_id = self.seen[task_id].task.generation_id or ""
        self._run(lambda tts: tts.delete_generation(generation_id, owner=owner), fault)

    @rule(pick=_picks)
    def a_stranger_tries(self, pick: int) -> None:
        """Nothing of another owner exists, and nothing changes (I14)."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        stranger = next(each for each in OWNERS if each != owner)
        before = self._stored(owner, task_id)

        async def verb(tts: Orchestrator) -> None:
            for call in (tts.poll_once, tts.cancel, tts.step, tts.finalize, tts.delete_task):
                try:
                    await call(task_id, owner=stranger)
                except NotFound:
                    continue
                raise AssertionError("a stranger got an answer")

        self._run(verb, None)
        assert self._stored(owner, task_id) == before

    # --- what operators, vendors and the weather do ---------------------------------------------------

    @rule(fault=_plans)
    def sweep(self, fault: tuple[Fault, int] | None) -> None:
        async def verb(tts: Orchestrator) -> None:
            await tts.sweep_once()

        self._run(verb, fault)

    @rule(seconds=st.sampled_from([1, 5, 20, 130, 1000, 5000, -60]))
    def time_goes_by(self, seconds: int) -> None:
        """Leases expire, deadlines pass; sometimes a clock is set back."""
        self.clock.advance(seconds)

    @rule(call=st.sampled_from(sorted(_errors)))
    def the_vendor_has_a_bad_moment(self, call: str) -> None:
        getattr(self.provider.script, call).append(_errors[call]())

    @rule()
    def the_vendor_loses_a_reply(self) -> None:
        self.provider.script.submit_reply_lost.append(lost_reply())

    @rule()
    def a_job_fails_at_the_vendor(self) -> None:
        if isinstance(self.provider, FakeJobProvider):
            for job in self.provider.jobs.values():
                job.failure = ErrorInfo(Category.PROVIDER_REJECTED, "moderated", "Refused.")
                break

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        """I1-I8, I11, I20 on every task, against how it was before this rule."""
        for task_id, before in self.seen.items():
            after = self._stored(before.task.owner, task_id)
            check_rows(after)
            check_step(before, after)
            check_ledger(after, self.provider)
            self.seen[task_id] = after
        anyio.run(check_blobs, list(self.seen.values()), self.blobs)

    def teardown(self) -> None:
        """Faults stop: every task ends, nothing is left in flight or lying about (I15-I17, I19)."""
        if not hasattr(self, "seen"):
            return
        script = self.provider.script
        for pending in (script.submit, script.submit_reply_lost, script.check, script.fetch):
            pending.clear()
        script.cancel.clear()
        self._run(self._settle, None)
        self._notice()
        self.everything_holds()
        assert all(job.task.status.terminal for job in self.seen.values())
        assert not any(job.task.cancel_owed for job in self.seen.values())
        assert self.provider.ledger.in_flight == 0
        assert anyio.run(self._keys) == {
            job.generation.audio.key
            for job in self.seen.values()
            if job.generation and job.generation.audio
        }
        anyio.run(self.tasks.aclose)
        anyio.run(self.blobs.aclose)

    async def _settle(self, tts: Orchestrator) -> None:
        for seconds in (20, 20, 60, 130, 130, 1000, 7000, 60, 60, 60):
            self.clock.advance(seconds)
            await tts.sweep_once()
        self.clock.advance(POLICY.orphan_grace)
        await tts.collect_orphans(dry_run=False)

    # --- how a rule is run ----------------------------------------------------------------------------

    def _orchestrator(self, plan: FaultPlan | None) -> Orchestrator:
        return Orchestrator(
            provider=faulty(self.provider, plan) if plan else self.provider,
            tasks=faulty(self.tasks, plan) if plan else self.tasks,
            blobs=faulty(self.blobs, plan) if plan else self.blobs,
            policy=POLICY,
            background=False,
            on_unknown=self.on_unknown,
            max_active_jobs=MOST_ACTIVE,
        )

    def _run(self, verb: Verb, fault: tuple[Fault, int] | None) -> None:
        plan = FaultPlan(*fault) if fault else None

        async def process() -> None:
            async with self._orchestrator(plan) as tts:
                with anyio.CancelScope() as scope:
                    if plan:
                        plan.scope = scope
                    await verb(tts)

        try:
            anyio.run(process)
        except (Crash, TtsorchError, BaseExceptionGroup) as error:
            _check_expected(error, plan)

    def _notice(self) -> None:
        """Learn of tasks whose submit was never answered to us, as a database administrator would."""
        for owner in OWNERS:
            for job in anyio.run(self._all_of, owner):
                self.seen.setdefault(job.task.id, job)
                if job.task.idempotency_key and job.generation:
                    key = (owner, job.task.idempotency_key)
                    self.keys.setdefault(key, (job.generation.text, job.task.id))

    async def _all_of(self, owner: str) -> list[Job]:
        return list(await self.tasks.list_tasks(owner, limit=50))

    def _picked(self, pick: int) -> Known | None:
        """One of the tasks there are. Not a bundle: what a fault leaves behind depends on the moment, and
        hypothesis has to be able to draw the same history twice."""
        jobs = list(self.seen.values())
        if not jobs:
            return None
        task = jobs[pick % len(jobs)].task
        return task.owner, task.id

    def _stored(self, owner: str, task_id: str) -> Job:
        async def read() -> Job | None:
            return await self.tasks.get(owner, task_id, include_deleted=True)

        job = anyio.run(read)
        assert job is not None, "an acknowledged task is gone"
        return job

    async def _keys(self) -> set[str]:
        return {blob.key async for blob in self.blobs.list("")}


def _check_expected(error: BaseException, plan: FaultPlan | None) -> None:
    """Only what the plan did may come out of a process, or what says that a row is not there."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _check_expected(each, plan)
    elif not (isinstance(error, NotFound) or (plan and plan.struck)):
        raise error
