"""A hypothesis state machine over the whole library: users, crashes, lost replies and a wandering clock.

Every rule runs in a process of its own (an orchestrator that is opened and closed, or crashes), over stores
and a fake vendor that outlive it. After each rule the invariants of the design are checked on every task;
at the end faults stop, time goes by, and every task must have ended (I15).

To run it over another store::

    class TestMyStore(OrchestratorMachine.TestCase): ...

with :attr:`OrchestratorMachine.make_tasks` and :attr:`~OrchestratorMachine.make_blobs` overridden.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

import anyio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ttsorch.errors import (
    ActiveJobLimit,
    Category,
    IdempotencyConflict,
    InternalError,
    NotFound,
    ProviderRejected,
    ProviderUnavailable,
    ResultExpired,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import (
    Clock,
    ErrorInfo,
    Generation,
    Job,
    Limits,
    OnUnknown,
    Policy,
    Task,
    TaskKind,
    Voice,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.protocols import BlobStore, TaskStore, VoiceStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_voices import FakeCastingProvider, FakeDesigningJobProvider
from ttsorch.testing.fakes import DOUBT, FakeJobProvider, lost_reply
from ttsorch.testing.faults import Crash, Fault, FaultPlan, faulty
from ttsorch.testing.invariants import (
    check_blobs,
    check_history,
    check_ledger,
    check_rows,
    check_step,
)
from ttsorch.testing.speech import a_request, tone_wav

Known: TypeAlias = tuple[str, str]
Verb: TypeAlias = Callable[[Orchestrator], Awaitable[None]]

OWNERS = ("owner-1", "owner-2")
#: Ids of voices; both owners use them, as nobody keeps them from it.
VOICES = ("6e1d3c1a-0b5e-4a57-9d64-2f0b8a7c1d01", "6e1d3c1a-0b5e-4a57-9d64-2f0b8a7c1d02")
CLIP = tone_wav()
MOST_ACTIVE = 3
POLICY = Policy(
    shutdown_grace=0.01,
    commit=1.0,
    insist=1.0,
    max_resubmits=2,
    submit_backoff=0.001,
    # The clock stands still, so the lease of a process that crashed would not run out meanwhile.
    answer_wait=0.0,
)

_plans = st.none() | st.tuples(st.sampled_from(Fault), st.integers(1, 30))
_owners = st.sampled_from(OWNERS)
_voices = st.sampled_from(VOICES)
_picks = st.integers(0, 99)
_errors = {
    "submit": lambda: lost_reply(),
    "check": ProviderUnavailable,
    "fetch": ResultExpired,
    "cancel": ProviderUnavailable,
    "clone": ProviderRejected,
    "design": ProviderUnavailable,
}
_replies = ("submit", "clone", "design")


class RowStore(TaskStore, VoiceStore, Protocol):
    """What a database's class is."""


class OrchestratorMachine(RuleBasedStateMachine):
    """Rules are what users, operators, vendors and the weather do."""

    def make_tasks(self, clock: Clock) -> RowStore:
        """The store under test, on this clock; closed at the end."""
        return MemoryTaskStore(clock=clock)

    def make_blobs(self, clock: Clock) -> BlobStore:
        """The blob store under test; closed at the end."""
        return MemoryBlobStore(clock=clock)

    @initialize(
        direct=st.booleans(), fetchable=st.booleans(), on_unknown=st.sampled_from(OnUnknown)
    )
    def open_the_world(self, direct: bool, fetchable: bool, on_unknown: OnUnknown) -> None:
        """One vendor per run: a job provider, or a direct one with a URL or with bytes. Both make voices."""
        # A file system stamps its files with real time, so time starts there.
        self.clock = ManualClock(datetime.now(UTC))
        self.tasks = self.make_tasks(self.clock)
        self.blobs = self.make_blobs(self.clock)
        self.on_unknown = on_unknown
        self.provider = (
            FakeCastingProvider(fetchable=fetchable)
            if direct
            else FakeDesigningJobProvider(checks_until_ready=1)
        )
        self.seen: dict[str, Job] = {}
        self.keys: dict[tuple[str, str], tuple[str, str]] = {}
        #: Whose those tasks were that a purge took.
        self.gone: dict[str, str] = {}

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
                counted = [job for job in active if job.task.kind is not TaskKind.CLONE]
                assert len(counted) >= MOST_ACTIVE or fault is not None

        self._run(verb, fault)
        self._notice()
        if jobs and key is not None:
            task_id = jobs[0].task.id
            assert self.keys.setdefault((owner, key), (text, task_id)) == (text, task_id)

    @rule(
        owner=_owners,
        voice_id=_voices,
        fault=_plans,
        again_after=st.sampled_from([(), (20, 130)]),
    )
    def clone(
        self,
        owner: str,
        voice_id: str,
        fault: tuple[Fault, int] | None,
        again_after: tuple[int, ...],
    ) -> None:
        """A clone that is answered with a voice has made it findable; some clients insist on one, also when
        a lease and the grace of an unknown outcome are over."""

        async def verb(tts: Orchestrator) -> None:
            try:
                await tts.upload_clip(voice_id, CLIP, owner=owner)
            except ValidationError as error:
                if error.code != "clip_exists":
                    raise
            try:
                voice = await tts.clone_voice(voice_id, name="Vera", owner=owner, transcript="Hi.")
                assert await self.tasks.get_voice(owner, voice_id) == voice
            except InternalError:
                raise
            except TtsorchError:
                return

        self._run(verb, fault)
        for seconds in again_after:
            self.clock.advance(seconds)
            self._run(verb, None)
        self._notice()

    @rule(owner=_owners, fault=_plans)
    def preview(self, owner: str, fault: tuple[Fault, int] | None) -> None:
        """A preview is a task like any other, under the same cap."""

        async def verb(tts: Orchestrator) -> None:
            try:
                await tts.preview_design(text="Hear me.", description="Calm.", owner=owner)
            except ActiveJobLimit:
                return

        self._run(verb, fault)
        self._notice()

    @rule(pick=_picks, fault=_plans)
    def save(self, pick: int, fault: tuple[Fault, int] | None) -> None:
        """Only what was previewed can be saved; it is the preview's voice, and costs no call."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        task, submits = self.seen[task_id].task, self.provider.ledger.submits
        saved: list[Voice] = []

        async def verb(tts: Orchestrator) -> None:
            try:
                saved.append(await tts.save_design(task_id, owner=owner))
            except ValidationError:
                assert task.kind is not TaskKind.DESIGN_PREVIEW or task.audio is None

        self._run(verb, fault)
        assert self.provider.ledger.submits == submits
        for voice in saved:
            assert task.audio is not None
            assert voice.reference_audio_key == task.audio.key
            assert (voice.id, voice.provider_voice_id) == (
                task.voice.id,
                task.voice.provider_voice_id,
            )

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

    @rule(pick=_picks)
    def an_answer_comes_late(self, pick: int) -> None:
        """A call is under way while another process cancels: what it makes, or its ticket, is on the row."""
        if (known := self._picked(pick)) is None:
            return
        owner, task_id = known
        before, accepted = self.seen[task_id].task, len(self.provider.ledger.accepted)
        replies = any(getattr(self.provider.script, f"{call}_reply_lost") for call in _replies)
        begun, go_on = anyio.Event(), anyio.Event()

        def pause(call: str) -> anyio.Event | None:
            if call in ("check", "fetch", "cancel"):
                return None
            begun.set()
            return go_on

        async def poll(tts: Orchestrator) -> None:
            try:
                await tts.poll_once(task_id, owner=owner)
            except TtsorchError:
                assert before.deleted_at is not None
            finally:
                begun.set()

        async def verb(tts: Orchestrator) -> None:
            async with self._orchestrator(None) as other, anyio.create_task_group() as group:
                group.start_soon(poll, tts)
                await begun.wait()
                if before.deleted_at is None:
                    await other.cancel(task_id, owner=owner)
                go_on.set()

        self.provider.script.pause = pause
        self._run(verb, None)
        self.provider.script.pause = lambda _call: None
        after = self._stored(owner, task_id).task
        answered = len(self.provider.ledger.accepted) > accepted and not replies
        if answered and after.kind is not TaskKind.GENERATE:
            assert after.ticket is not None or after.voice.provider_voice_id is not None

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
            verbs = (tts.poll_once, tts.cancel, tts.step, tts.finalize, tts.delete_task)
            for call in (*verbs, tts.save_design):
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

    @rule(age=st.sampled_from([1, 130, 5000]), audio=st.booleans(), fault=_plans)
    def purge(self, age: int, audio: bool, fault: tuple[Fault, int] | None) -> None:
        """Only what ended that long ago, and owes nothing, is gone."""
        before = self._moment_before(age)

        async def verb(tts: Orchestrator) -> None:
            while (await tts.purge(older_than=age, limit=2, audio=audio)).more:
                pass

        self._run(verb, fault)
        for task in self._forget_purged():
            assert task.completed_at is not None
            assert task.completed_at <= before
            assert not task.cancel_owed

    @rule(owner=_owners, fault=_plans)
    def purge_owner(self, owner: str, fault: tuple[Fault, int] | None) -> None:
        """Only what this owner had is gone; without a fault, all but what the provider is owed."""

        async def verb(tts: Orchestrator) -> None:
            await tts.purge_owner(owner, limit=2)

        self._run(verb, fault)
        assert {task.owner for task in self._forget_purged()} <= {owner}
        # With that the account is closed: a voice of the same id is another one, and paid for anew.
        gone = {task_id for task_id, whose in self.gone.items() if whose == owner}
        ledger = self.provider.ledger
        ledger.accepted[:] = [key for key in ledger.accepted if key not in gone]
        ledger.voices[:] = [voice for voice in ledger.voices if voice.key not in gone]
        if fault is None:
            assert anyio.run(self._seen_by, owner) == (0, 0, 0)

    @rule(seconds=st.sampled_from([1, 5, 20, 130, 1000, 5000, -60]))
    def time_goes_by(self, seconds: int) -> None:
        """Leases expire, deadlines pass; sometimes a clock is set back."""
        self.clock.advance(seconds)

    @rule(call=st.sampled_from(sorted(_errors)))
    def the_vendor_has_a_bad_moment(self, call: str) -> None:
        getattr(self.provider.script, call).append(_errors[call]())

    @rule(call=st.sampled_from(_replies), then_refuses=st.booleans())
    def the_vendor_loses_a_reply(self, call: str, then_refuses: bool) -> None:
        """Sometimes it refuses for certain when it is asked again, which says nothing about the first."""
        getattr(self.provider.script, f"{call}_reply_lost").append(lost_reply())
        if then_refuses:
            getattr(self.provider.script, call).extend([None, ProviderRejected()])

    @rule()
    def a_job_fails_at_the_vendor(self) -> None:
        if isinstance(self.provider, FakeJobProvider):
            for job in self.provider.jobs.values():
                job.failure = ErrorInfo(Category.PROVIDER_REJECTED, "moderated", "Refused.")
                break

    @rule(doubts=st.integers(1, 3))
    def the_vendor_cannot_look(self, doubts: int) -> None:
        """For a few checks it reports a failure of each job that is none."""
        if isinstance(self.provider, FakeJobProvider):
            for job in self.provider.jobs.values():
                job.doubts = doubts

    # --- what must hold -------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        """I1-I8, I11, I20 on every task, against how it was before this rule."""
        # One event loop for all of it: starting one takes longer than most checks.
        for after in anyio.run(self._all_seen):
            check_rows(after)
            check_step(self.seen[after.task.id], after)
            check_ledger(after, self.provider)
            _check_doubt(after.task)
            self.seen[after.task.id] = after
        self._check_creates()

    async def _all_seen(self) -> list[Job]:
        """As they are now; what they name is in the blob store."""
        seen = [await self._read(job.task.owner, job.task.id) for job in self.seen.values()]
        await check_blobs(seen, self.blobs)
        for owner in OWNERS:
            await check_history(await self._history(owner), self.blobs)
        return seen

    def _check_creates(self) -> None:
        """I5 for voices: however often one was asked for, it was paid for once, plus what policy allowed."""
        for owner in OWNERS:
            for voice_id in VOICES:
                tries = [
                    job.task
                    for job in self.seen.values()
                    if job.task.kind is TaskKind.CLONE
                    and (job.task.owner, job.task.voice.id) == (owner, voice_id)
                ]
                paid = sum(self.provider.ledger.accepted_for(task.id) for task in tries)
                assert paid <= 1 + sum(task.resubmits for task in tries)

    def teardown(self) -> None:
        """Faults stop: every task ends, nothing is left in flight or lying about (I15-I17, I19)."""
        if not hasattr(self, "seen"):
            return
        script = self.provider.script
        for call in _errors:
            getattr(script, call).clear()
        for call in _replies:
            getattr(script, f"{call}_reply_lost").clear()
        self._run(self._settle, None)
        self._notice()
        self.everything_holds()
        assert all(job.task.status.terminal for job in self.seen.values())
        assert not any(job.task.cancel_owed for job in self.seen.values())
        assert self.provider.ledger.in_flight == 0
        assert anyio.run(self._keys) == anyio.run(self._named_keys)
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
            tasks=(tasks := faulty(self.tasks, plan) if plan else self.tasks),
            voices=tasks,
            blobs=faulty(self.blobs, plan) if plan else self.blobs,
            policy=POLICY,
            background=False,
            on_unknown=self.on_unknown,
            limits=Limits(active_per_owner=MOST_ACTIVE),
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
        # A store may go on writing what a crash cut off, as a dead process's never would. Writes come in
        # order, so that after one more (of nothing) all of them are there.
        anyio.run(self.tasks.record_poll, "nobody", "nothing")

    def _notice(self) -> None:
        """Learn of tasks whose submit was never answered to us, as a database administrator would."""
        for job in anyio.run(self._all):
            self.seen.setdefault(job.task.id, job)
            if job.task.idempotency_key and job.generation:
                key = (job.task.owner, job.task.idempotency_key)
                self.keys.setdefault(key, (job.generation.text, job.task.id))

    async def _all(self) -> list[Job]:
        return [job for owner in OWNERS for job in await self.tasks.list_tasks(owner, limit=50)]

    def _moment_before(self, seconds: float) -> datetime:
        return self.clock() - timedelta(seconds=seconds)

    def _forget_purged(self) -> list[Task]:
        """The tasks whose rows are gone, as they were."""
        there = anyio.run(self._still_there)
        gone = [job.task for job in self.seen.values() if job.task.id not in there]
        for task in gone:
            del self.seen[task.id]
            self.gone[task.id] = task.owner
            self.keys.pop((task.owner, task.idempotency_key or ""), None)
        return gone

    async def _still_there(self) -> set[str]:
        tasks = [job.task for job in self.seen.values()]
        found = [await self.tasks.get(t.owner, t.id, include_deleted=True) for t in tasks]
        return {job.task.id for job in found if job is not None}

    async def _seen_by(self, owner: str) -> tuple[int, int, int]:
        """How many tasks, generations and voices an owner is shown."""
        tasks = await self.tasks.list_tasks(owner, limit=50)
        voices = await self.tasks.list_voices(owner)
        return len(tasks), len(await self._history(owner)), voices.total

    async def _history(self, owner: str) -> Sequence[Generation]:
        return (await self.tasks.list_generations(owner, per_page=1000)).items

    def _picked(self, pick: int) -> Known | None:
        """One of the tasks there are. Not a bundle: what a fault leaves behind depends on the moment, and
        hypothesis has to be able to draw the same history twice."""
        jobs = list(self.seen.values())
        if not jobs:
            return None
        task = jobs[pick % len(jobs)].task
        return task.owner, task.id

    def _stored(self, owner: str, task_id: str) -> Job:
        return anyio.run(self._read, owner, task_id)

    async def _read(self, owner: str, task_id: str) -> Job:
        job = await self.tasks.get(owner, task_id, include_deleted=True)
        assert job is not None, "an acknowledged task is gone"
        return job

    async def _keys(self) -> set[str]:
        return {blob.key async for blob in self.blobs.list("")}

    async def _named_keys(self) -> set[str]:
        """What a generation, a task without one, a clone that made its voice, or a voice names."""
        jobs = self.seen.values()
        named = {
            job.task.audio.key for job in jobs if job.task.audio and not job.task.generation_id
        }
        for owner in OWNERS:
            named |= {each.audio.key for each in await self._history(owner) if each.audio}
        for job in jobs:
            if job.task.kind is TaskKind.CLONE and job.task.voice.provider_voice_id is not None:
                named.add(job.task.voice.reference_audio_key or "")
        for owner in OWNERS:
            for voice in (await self.tasks.list_voices(owner, per_page=100)).items:
                named.add(voice.reference_audio_key or "")
        return named


def _check_doubt(task: Task) -> None:
    """A failure that may be none was reported twice, with some time between, before it was believed."""
    if task.error is not None and task.error.code == DOUBT.code and task.status.terminal:
        assert task.doubted_at is not None
        assert task.completed_at is not None
        waited = (task.completed_at - task.doubted_at).total_seconds()
        assert waited >= POLICY.check_interval, f"believed after {waited} s"


def _check_expected(error: BaseException, plan: FaultPlan | None) -> None:
    """Only what the plan did may come out of a process, or what says that a row is not there."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _check_expected(each, plan)
    elif not (isinstance(error, NotFound) or (plan and plan.struck)):
        raise error
