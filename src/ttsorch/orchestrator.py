"""The verbs: what a web backend, a queue worker or a cron job calls.

A star, not a chain: each verb reads or writes a row, hands the job to :mod:`ttsorch._steps` for one step,
and returns what the row then says; nothing below calls back up. Every step is idempotent, so it doesn't
matter who ticks (a client's poll, the sweep, a queue worker), how many tick at once, or which of them dies
half way: the next tick finds the row and goes on. Three habits carry that:

* commit before effect: the row says what is about to be done before it is done;
* compare-and-set: whoever comes second writes nothing and returns the truth (:mod:`ttsorch._journal`);
* flights: a step that began is out of reach of its caller's cancellation (:mod:`ttsorch._flights`).
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType

import anyio

from ttsorch import states
from ttsorch._announcer import Announcer
from ttsorch._flights import Flights
from ttsorch._journal import Journal
from ttsorch._steps import Steps
from ttsorch.capabilities import (
    check,
    check_encoding,
    check_idempotency_key,
    count_characters,
)
from ttsorch.errors import IdempotencyConflict, NotFound, TtsorchError, ValidationError
from ttsorch.models import (
    Generation,
    Job,
    OnUnknown,
    Page,
    Phase,
    Policy,
    SpeechRequest,
    Status,
    Task,
    TaskKind,
    Voice,
)
from ttsorch.protocols import (
    BlobStore,
    Listener,
    Provider,
    RequestChecking,
    TaskStore,
    VoiceCatalog,
    VoiceStore,
)

logger = logging.getLogger("ttsorch")


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did: how many due tasks it took a step further, and how many of those steps failed
    (they stay due)."""

    stepped: int
    failed: int


class Orchestrator:
    """Durable speech jobs over one provider, one task store and one blob store.

    Use it as an async context manager. It closes none of its parts: whoever opened them closes them.

    Args:
        provider: takes new tasks.
        also: providers of earlier tasks, so that what is under way can finish after a switch.
        voices: the owners' own voices; without it only built-in voices exist.
        background: direct tasks and a sweep run in this process's event loop. Without it, a direct task
            runs inside its first poll, and somebody has to call :meth:`sweep_once`.
        on_unknown: what to do when nobody knows whether a submit was accepted; the provider's own
            default if None. ``RESUBMIT`` may pay twice.
        max_active_jobs: per owner; no cap if None.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        tasks: TaskStore,
        blobs: BlobStore,
        voices: VoiceStore | None = None,
        also: Sequence[Provider] = (),
        policy: Policy | None = None,
        background: bool = True,
        on_unknown: OnUnknown | None = None,
        max_active_jobs: int | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.provider = provider
        self.tasks = tasks
        self.blobs = blobs
        self.voices = voices
        self.policy = policy or Policy()
        self.background = background
        self._max_active_jobs = max_active_jobs
        self._announcer = Announcer(listeners)
        self._deliveries: Flights[None] = Flights(self.policy.shutdown_grace)
        self._flights: Flights[Job | None] = Flights(self.policy.shutdown_grace)
        self._turns: Flights[None] = Flights(0)
        self._synthesis_slots = anyio.Semaphore(self.policy.concurrency)
        self._other_slots = anyio.Semaphore(self.policy.sweep_concurrency)
        self._journal = Journal(tasks, self.policy, self._announcer, self._flights)
        self._steps = Steps(
            journal=self._journal,
            providers={each.name: each for each in (*also, provider)},
            blobs=blobs,
            policy=self.policy,
            on_unknown=on_unknown,
        )

    async def __aenter__(self) -> "Orchestrator":
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._deliveries)
            deliver = partial(self._announcer.deliver, self._announcer.open())
            self._deliveries.start("listeners", deliver)
            stack.callback(self._announcer.close)
            await stack.enter_async_context(self._flights)
            await stack.enter_async_context(self._turns)
            if self.background:
                self._turns.start("sweep", self._sweep_forever)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # First nothing new begins, then what has begun may land, then the listeners hear of it.
        await self._open.__aexit__(exc_type, exc, traceback)

    def now(self) -> datetime:
        """The task store's clock: the one that rows and leases go by."""
        return self.tasks.now()

    # --- submit ---------------------------------------------------------------------------------------

    async def submit(
        self, request: SpeechRequest, *, owner: str, idempotency_key: str | None = None
    ) -> Job:
        """Make a durable job of ``request``.

        A direct provider's job comes back queued; a job provider's comes back with the provider's answer
        on it: accepted, ``submit_unknown``, or already failed. The same key and request give the same job
        again, whatever became of it.

        Raises:
            ValidationError: nothing was written.
            IdempotencyConflict: the key was used with another request.
            ActiveJobLimit: the owner has as many active jobs as allowed.
            StorageUnavailable: unknown whether anything was written; repeat with the same key.
        """
        self._check_request(request, owner, idempotency_key)
        task, generation = self._new_rows(request, owner, idempotency_key)
        # One flight from before the insert to after the provider's answer: nobody can step in between,
        # and a caller that goes away leaves no job behind that nobody sends.
        work = self._create if self.provider.capabilities.direct else self._create_and_send
        job = await self._flights.share(task.id, partial(work, task, generation))
        return job or await self._journal.reread(Job(task, generation))

    async def _create(self, task: Task, generation: Generation) -> Job:
        job = await self.tasks.create(task, generation, max_active=self._max_active_jobs)
        if job.task.id != task.id:
            return self._repeated(job, task)
        self._announcer.announce(None, job)
        if self.background:
            self._take_turn(job)
        return job

    async def _create_and_send(self, task: Task, generation: Generation) -> Job:
        task = states.advance(task, states.SubmitStarted("provider_submitting"), self.now())
        job = await self.tasks.create(
            task,
            states.reflect(generation, task),
            lease_seconds=self.policy.lease,
            max_active=self._max_active_jobs,
        )
        if job.task.id != task.id:
            return self._repeated(job, task)
        self._announcer.announce(None, job)
        return await self._steps.submit(job)

    def _check_request(
        self, request: SpeechRequest, owner: str, idempotency_key: str | None
    ) -> None:
        if not owner:
            raise ValidationError("An owner is required.", code="owner_required", field="owner")
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        for text in (owner, request.language):
            check_encoding(text)
        if request.voice.owner not in (None, owner):
            raise NotFound("Voice not found", code="voice_not_found")
        check(request, self.provider.name, self.provider.capabilities)
        if isinstance(self.provider, RequestChecking):
            self.provider.check_request(request)

    def _new_rows(
        self, request: SpeechRequest, owner: str, idempotency_key: str | None
    ) -> tuple[Task, Generation]:
        now = self.now()
        task = states.new_task(
            id=str(uuid.uuid4()),
            generation_id=str(uuid.uuid4()),
            owner=owner,
            provider=self.provider.name,
            voice=request.voice,
            characters=count_characters(request.text),
            options=request.options,
            idempotency_key=idempotency_key,
            payload_hash=_payload_hash(request),
            now=now,
            policy=self.policy,
        )
        generation = Generation(
            id=task.generation_id or task.id,
            owner=owner,
            task_id=task.id,
            voice_id=request.voice.id,
            voice_name=request.voice.name,
            text=request.text,
            language=request.language,
            created_at=now,
        )
        return task, generation

    def _repeated(self, earlier: Job, task: Task) -> Job:
        if earlier.task.payload_hash != task.payload_hash:
            raise IdempotencyConflict
        return earlier

    # --- the verbs on a task --------------------------------------------------------------------------

    async def poll_once(self, task_id: str, *, owner: str) -> Job:
        """What a client's poll does: count it, take the task one step further, say how it stands.

        At most one status check, and when the speech is ready, the copy of it; polls of one task in this
        process share both. When the provider could not be asked, the job comes back unchanged but for an
        unsaved ``error`` and the word ``status_error``.

        Raises:
            NotFound: no such task for this owner.
            StorageUnavailable: the task is as it was; poll again.
        """
        job = _found(await self.tasks.record_poll(owner, task_id))
        if not self._poll_drives(job.task):
            return job
        latest = await self._fly(job, self._steps.step)
        return _as_seen_by(job, latest)

    async def step(self, task_id: str, *, owner: str) -> Job:
        """Take the task one step further, as a queue worker or webhook does: :meth:`poll_once` without
        counting a poll.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        return _as_seen_by(job, await self._fly(job, self._steps.step))

    async def finalize(self, task_id: str, *, owner: str) -> Job:
        """Copy the task's result into our own storage if it is ready for that; else nothing.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        if job.task.phase not in (Phase.READY, Phase.STORING):
            return job
        return _as_seen_by(job, await self._fly(job, self._steps.step))

    async def cancel(self, task_id: str, *, owner: str) -> Job:
        """End the task as cancelled, unless it has ended already: the job comes back as it then is.

        What runs in this process stops at once, in another one within a third of the lease. The provider
        is told as well as it can be.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        cancelled = await self._flights.share(f"cancel {task_id}", partial(self._cancel, job))
        return cancelled or await self._journal.reread(job)

    async def _cancel(self, job: Job) -> Job:
        job = await self._steps.cancel(job)
        # A job provider's submit in flight goes on: only its answer tells which job to cancel there.
        if job.task.ticket or self._steps.runs_here(job.task):
            self._flights.stop(job.task.id)
        return await self._steps.settle(job) if job.task.cancel_owed else job

    async def get(self, task_id: str, *, owner: str) -> Job:
        """The job as it is stored; counts no poll, asks nobody.

        Raises:
            NotFound: no such task for this owner.
        """
        return _found(await self.tasks.get(owner, task_id))

    async def delete_task(self, task_id: str, *, owner: str) -> None:
        """Take the task out of its owner's sight, cancelling it first if it is active. Its generation and
        audio stay.

        Raises:
            NotFound: no such task for this owner.
        """
        await self._end(await self.get(task_id, owner=owner))
        await self.tasks.delete_task(owner, task_id)

    async def list_tasks(
        self,
        *,
        owner: str,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        """The owner's tasks, newest first; ``before`` is the ``created_at`` and ``id`` of the last one
        already seen."""
        return await self.tasks.list_tasks(
            owner, active=active, kind=kind, before=before, limit=limit
        )

    # --- history and voices ---------------------------------------------------------------------------

    async def history(
        self,
        *,
        owner: str,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: Status | None = None,
    ) -> Page[Generation]:
        """The owner's generations, newest first (contract R7)."""
        wanted = () if status is None else (status,)
        return await self.tasks.list_generations(
            owner, page=page, per_page=per_page, search=search, status=wanted
        )

    async def get_generation(self, generation_id: str, *, owner: str) -> Generation:
        """One line of the owner's history.

        Raises:
            NotFound: no such generation for this owner.
        """
        generation = await self.tasks.get_generation(owner, generation_id)
        if generation is None:
            raise NotFound
        return generation

    async def delete_generation(self, generation_id: str, *, owner: str) -> None:
        """Remove a generation with its audio, cancelling its task first if that is active.

        Raises:
            NotFound: no such generation for this owner.
        """
        generation = await self.get_generation(generation_id, owner=owner)
        if job := await self.tasks.get(owner, generation.task_id):
            await self._end(job)
            generation = await self.get_generation(generation_id, owner=owner)
        await self.tasks.delete_generation(owner, generation_id)
        # The row went first: a crash here leaves an orphan for collect_orphans, not a dead link.
        if generation.audio:
            await self.blobs.delete(generation.audio.key)

    async def builtin_voices(self) -> Sequence[Voice]:
        """The provider's own voices, in a stable order; none when it has no catalog."""
        if isinstance(self.provider, VoiceCatalog):
            return await self.provider.voices()
        return ()

    async def find_voice(self, voice_id: str, *, owner: str) -> Voice:
        """A voice that this owner may use: one of their own, or a built-in one.

        Raises:
            NotFound: no such voice for this owner.
        """
        if self.voices and (voice := await self.voices.get_voice(owner, voice_id)):
            return voice
        for voice in await self.builtin_voices():
            if voice.id == voice_id:
                return voice
        raise NotFound

    # --- sweeping -------------------------------------------------------------------------------------

    async def sweep_once(self) -> SweepReport:
        """Take every due task (up to ``policy.sweep_batch``) one step further, whoever owns it.

        One bad task never stops the others. Run it as often and from as many places as you like.

        Raises:
            StorageUnavailable: the due tasks could not be read.
        """
        due = await self._claim_due()
        failures: list[TtsorchError] = []

        async def step(job: Job) -> None:
            try:
                await self._step_in_turn(job)
            except TtsorchError as error:
                logger.warning("sweep: task %s: %s (%s)", job.task.id, error.code, error.detail)
                failures.append(error)

        async with anyio.create_task_group() as group:
            for job in due:
                group.start_soon(step, job)
        return SweepReport(stepped=len(due), failed=len(failures))

    async def collect_orphans(self, *, dry_run: bool = True) -> Sequence[str]:
        """The keys of blobs that no row names and that are older than ``policy.orphan_grace``; deletes
        them unless ``dry_run``. Such blobs are left by crashes and lost races."""
        orphans: list[str] = []
        batch: list[str] = []
        oldest = self.now() - timedelta(seconds=self.policy.orphan_grace)
        async for blob in self.blobs.list(""):
            if blob.modified_at <= oldest:
                batch.append(blob.key)
            if len(batch) == self.policy.sweep_batch:
                orphans += await self.tasks.unreferenced(batch)
                batch = []
        orphans += await self.tasks.unreferenced(batch)
        for key in () if dry_run else orphans:
            await self.blobs.delete(key)
        return orphans

    async def _claim_due(self) -> Sequence[Job]:
        return await self.tasks.claim_due(
            limit=self.policy.sweep_batch, hold_seconds=self.policy.lease
        )

    async def _sweep_forever(self) -> None:
        # Unlike sweep_once, never waits for a step: one long synthesis must not hold up the rest.
        while True:
            try:
                for job in await self._claim_due():
                    self._take_turn(job)
            except TtsorchError as error:
                logger.warning("sweep: %s (%s)", error.code, error.detail)
            except Exception:
                # A defect in a store must not be the end of all sweeping.
                logger.exception("sweep")
            await anyio.sleep(self.policy.sweep_interval)

    # --- flights --------------------------------------------------------------------------------------

    async def _fly(self, job: Job, work: Callable[[Job], Awaitable[Job]]) -> Job:
        landed = await self._flights.share(job.task.id, partial(work, job))
        return landed or await self._journal.reread(job)

    async def _end(self, job: Job) -> None:
        if not job.task.status.terminal:
            await self.cancel(job.task.id, owner=job.task.owner)

    def _take_turn(self, job: Job) -> None:
        self._turns.start(job.task.id, partial(self._step_in_turn, job))

    async def _step_in_turn(self, job: Job) -> None:
        # The wait for a slot is outside the flight, so that no poll ever waits for it too; and what takes
        # long has slots of its own, so that it holds up nothing else.
        synthesis = self._steps.runs_here(job.task) and job.task.envelope is None
        async with self._synthesis_slots if synthesis else self._other_slots:
            await self._fly(await self._journal.reread(job), self._steps.step)

    def _poll_drives(self, task: Task) -> bool:
        """Whether a poll has anything to do that nobody is doing already, and that is not put off."""
        now = self.now()
        if task.status.terminal or states.lease_is_live(task, now):
            return False
        if task.phase is Phase.QUEUED and self.background:
            return False
        put_off = task.phase in (Phase.QUEUED, Phase.READY) or task.finalize_attempts > 0
        return states.is_due(task, now) or not put_off


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound
    return job


def _payload_hash(request: SpeechRequest) -> str:
    """Tells a repeated request from another one under the same idempotency key."""
    payload = [request.text, request.voice.id, request.language, request.options]
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_seen_by(mine: Job, latest: Job) -> Job:
    """The newer of two views. A shared flight may have read the row before this poll did, and each poll
    shows its own count."""
    newer = latest if latest.task.version >= mine.task.version else mine
    return replace(newer, task=replace(newer.task, poll_count=mine.task.poll_count))
