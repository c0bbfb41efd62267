"""One step of one task, by the phase it is in: the walks of the design, in the order in which they happen.

Each step starts from a row, makes at most one call to the provider that can cost money and at most one
status check, and leaves a row from which anybody can go on. Which transitions are legal is in
:mod:`ttsorch.states`; how they are written is in :mod:`ttsorch._journal`.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import anyio
import anyio.lowlevel

from ttsorch import states
from ttsorch._asking import asked, backoff, plain
from ttsorch._calls import PaidCalls
from ttsorch._clips import Clips, ClipUnavailable
from ttsorch._journal import Journal
from ttsorch._pauses import Pauses
from ttsorch._retry import may_be_sent_again
from ttsorch._storing import Storing
from ttsorch.errors import (
    Category,
    ProviderError,
    ProviderUnavailable,
    TaskCancelled,
    ValidationError,
    sane_wait,
)
from ttsorch.models import (
    Accepted,
    ErrorInfo,
    Failed,
    Job,
    OnUnknown,
    Phase,
    Policy,
    Ready,
    Running,
    Task,
    TaskKind,
    Ticket,
)
from ttsorch.protocols import BlobStore, Provider, VoiceStore

logger = logging.getLogger("ttsorch")

_QUIET_SECONDS = 30.0
#: How long after its deadline a job may still be worth stopping.
_DEBT_LASTS = timedelta(hours=1)

_ID_TAKEN = ErrorInfo(
    Category.VALIDATION,
    "voice_exists",
    "This voice exists already.",
    detail="the voice that the provider made has an id that is taken",
)

T = TypeVar("T")


class Steps:
    """Takes jobs further, over the providers whose tasks this process may drive."""

    def __init__(
        self,
        *,
        journal: Journal,
        providers: Mapping[str, Provider],
        voices: VoiceStore | None,
        blobs: BlobStore,
        pauses: Pauses,
        policy: Policy,
        on_unknown: OnUnknown | None,
    ) -> None:
        self._journal = journal
        self._providers = providers
        self._voices = voices
        self._clips = Clips(blobs)
        self._storing = Storing(journal=journal, blobs=blobs, policy=policy)
        self._policy = policy
        self._on_unknown = on_unknown
        self._quiet_until: dict[str, float] = {}
        self._pauses = pauses
        self._calls = PaidCalls(
            providers=providers, clips=self._clips, pauses=pauses, policy=policy
        )
        self._by_phase: Mapping[Phase, Callable[[Job], Awaitable[Job]]] = {
            Phase.QUEUED: self._start,
            Phase.SUBMITTING: self._lose_submit,
            Phase.SUBMIT_UNKNOWN: self._resolve_unknown,
            Phase.RUNNING: self._check,
            Phase.READY: self._finalize,
            Phase.STORING: self._finalize,
        }

    async def step(self, job: Job) -> Job:
        """Take the job as far as one exchange with its provider allows; nothing if nothing is to do, or
        somebody else is at it."""
        task, now = job.task, self._journal.now()
        if task.status.terminal:
            return await self._after_end(job)
        due = states.deadline(task)
        if due is not None and due <= now:
            return await self._after_end(await self._journal.commit(job, states.DeadlinePassed()))
        if states.lease_is_live(task, now):
            return job
        if not self.can_step(task):
            return _troubled(job, ProviderUnavailable(code="provider_not_configured"))
        return await self._by_phase[task.phase](job)

    def can_step(self, task: Task) -> bool:
        """Whether the task's provider is one of ours; a voice that is made needs its provider no more."""
        made = task.kind is TaskKind.CLONE and task.phase is Phase.READY
        return made or task.provider in self._providers

    def runs_here(self, task: Task) -> bool:
        """Whether the task's speech, or its voice, is made by a long call of ours, which stopping ends."""
        return self._calls.take_long(task)

    def synthesizes(self, task: Task) -> bool:
        """Whether the task's next step is such a call."""
        asked = (Phase.QUEUED, Phase.SUBMITTING, Phase.SUBMIT_UNKNOWN)
        return task.phase in asked and self.runs_here(task)

    def word_for_submitting(self, task: Task) -> str:
        """What clients are shown while the call is under way."""
        return "provider_synthesizing" if self.runs_here(task) else "provider_submitting"

    # --- submit ---------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        """Under the submit lease: the one call that costs money, and the record of what came of it; then
        what follows from that."""
        return await self._follow(await self._journal.under_lease(job, partial(self._submit, job)))

    async def _start(self, job: Job) -> Job:
        started = states.SubmitStarted(self.word_for_submitting(job.task))
        claimed = await self._journal.claim(job, started, sends=True)
        return await self.submit(claimed) if claimed else await self._journal.reread(job)

    async def _follow(self, job: Job) -> Job:
        """What may be done at once after a step that has given its lease back."""
        if job.task.phase is Phase.SUBMIT_UNKNOWN:
            return await self._resolve_unknown(job)
        if job.task.phase is Phase.READY and states.is_due(job.task, self._journal.now()):
            return await self._finalize(job)
        return job

    async def _finalize(self, job: Job) -> Job:
        if job.task.kind is TaskKind.CLONE:
            return await self._add_voice(job)
        fetch = self._provider(job).fetch
        return await self._follow(await self._storing.finalize(job, fetch))

    async def _submit(self, job: Job) -> Job:
        called = False
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            async with self._calls.room(job.task):
                call = await self._calls.prepared(job)
                if self._journal.now() >= min(job.task.accept_by, job.task.finish_by):
                    # It waited for room until it was too late to begin; nothing has left.
                    return await self._journal.commit(job, states.TaskFailed(states.NOT_ACCEPTED))
                called = True
                left = self._journal.seconds_left(job.task)
                result = await self._calls.make(job.task, call, left)
        except ProviderError as error:
            return await self._submit_failed(job, error)
        except ClipUnavailable as error:
            return await self._not_sent(job, ErrorInfo.of(error), again=error.later)
        except ValidationError as error:
            return await self._journal.commit(job, states.TaskFailed(ErrorInfo.of(error)))
        except anyio.get_cancelled_exc_class():
            # We are being shut down. Whoever comes next needn't wait for the lease to expire.
            lost = self._journal.lost("stopped while the submit was under way")
            not_sent = ProviderUnavailable(code="not_sent", detail="stopped before the call")
            put_back = states.SubmitDeferred(ErrorInfo.of(not_sent), self._journal.now())
            await self._journal.commit(job, lost if called else put_back)
            raise
        if isinstance(result, Accepted):
            return await self._accepted(job, plain(result.ticket))
        if job.task.kind is TaskKind.CLONE and result.voice is None:
            nothing = ProviderUnavailable(detail="a clone that names no voice", ambiguous=True)
            return await self._submit_failed(job, nothing)
        if result.audio is not None:
            return await self._storing.store_in_hand(job, result, result.audio)
        return await self._result_ready(job, result)

    async def _submit_failed(self, job: Job, error: ProviderError) -> Job:
        after = await self._note_refusal(job, error)
        # After the task's own row: that its call was not accepted is known for certain, once it is written.
        await self._pauses.begin(job.task.provider, error)
        return after

    async def _note_refusal(self, job: Job, error: ProviderError) -> Job:
        info = ErrorInfo.of(error)
        if error.ambiguous:
            grace = self._journal.after(self._policy.unknown_grace)
            return await self._journal.commit(job, states.SubmitLost(info, grace))
        return await self._not_sent(job, info, again=may_be_sent_again(error))

    async def _not_sent(self, job: Job, info: ErrorInfo, *, again: bool) -> Job:
        """Nothing runs at the provider. A job provider's caller is waiting to hear of it; what takes long
        is tried again, since nobody waits for that."""
        if not (again and self.runs_here(job.task)):
            after = await self._journal.commit(job, states.TaskFailed(info))
            cancelled = after.task.phase is Phase.CANCELLED and after.task.outcome_open
            return await self._storing.keep_late(after, Ready()) if cancelled else after
        wait = max(info.retry_after or 0.0, backoff(self._policy.submit_backoff, job.task.attempts))
        if self._journal.after(wait) >= min(job.task.accept_by, job.task.finish_by):
            # Told to come back when it is too late: no use in waiting for that.
            return await self._journal.commit(job, states.TaskFailed(info))
        deferred = states.SubmitDeferred(info, self._journal.after(wait))
        return await self._journal.commit(job, deferred)

    async def _accepted(self, job: Job, ticket: Ticket) -> Job:
        """Record the ticket wherever the row is by now: a paid job must never be forgotten."""
        event = states.SubmitAccepted(ticket, self._journal.after(self._policy.check_interval))
        after = await self._journal.commit(job, event, until_written=True)
        if after.task.ticket == ticket:
            return after
        late = states.TicketArrived(ticket)
        if after.task.ticket is None and states.allows(after.task, late):
            after = await self._journal.commit(after, late, until_written=True)
            return await self._after_end(after)
        await self._call_off(replace(after.task, ticket=ticket))
        return after

    async def _call_off(self, task: Task) -> None:
        """Another attempt of this task is followed already, or a purge has taken its row; this job would only
        cost. Its ticket has no place on a row, so it is told to stop now or never, also when we have lost
        the lease (as we must have) or are being shut down."""
        with anyio.move_on_after(self._policy.insist, shield=True):
            for tries in range(1, self._policy.max_cancel_attempts + 1):
                if await self._tell_to_cancel(task):
                    logger.warning("task %s: a job that nobody follows was called off", task.id)
                    return
                await anyio.sleep(backoff(self._policy.submit_backoff, tries))
        logger.error("task %s: a job that nobody follows could not be called off", task.id)

    async def _lose_submit(self, job: Job) -> Job:
        lost = self._journal.lost("whoever submitted this died before the answer")
        return await self._follow(await self._journal.commit(job, lost))

    async def _add_voice(self, job: Job) -> Job:
        """The provider has made the voice of a recording, and the row says how it knows it."""
        voice = job.task.voice
        if self._voices is None:
            return job
        # First of all: it is paid for. Harmless when repeated: an id is taken once.
        added = await self._voices.add_voice(voice, of_task=job.task.id)
        if not added and await self._voices.get_voice(job.task.owner, voice.id) is None:
            return await self._journal.commit(job, states.TaskFailed(_ID_TAKEN))
        try:
            audio = await self._clips.describe(voice.reference_audio_key or "")
        except ClipUnavailable as error:
            if error.later:
                raise
            return await self._journal.commit(job, states.TaskFailed(ErrorInfo.of(error)))
        return await self._journal.commit(job, states.VoiceAdded(audio), until_written=True)

    async def _resolve_unknown(self, job: Job) -> Job:
        """Ask again only if that was allowed, and not for ever; else wait for a late answer until the
        deadline."""
        if _made_without_preview(job.task):
            lost = self._storing.preview_lost("its answer came too late to be stored")
            return await self._journal.commit(job, lost)
        policy = self._on_unknown or self._provider(job).capabilities.on_unknown
        if policy is not OnUnknown.RESUBMIT:
            return job
        if job.task.resubmits >= self._policy.max_resubmits:
            error = job.task.error or self._journal.lost("asked again too often").error
            return await self._journal.commit(job, states.TaskFailed(error, still_open=True))
        again = states.Resubmit(self._journal.after(self._policy.accept_within))
        job = await self._journal.commit(job, again)
        return await self._start(job) if job.task.phase is Phase.QUEUED else job

    # --- check ----------------------------------------------------------------------------------------

    async def _check(self, job: Job) -> Job:
        check = partial(self._provider(job).check, job.task.ticket or {})
        try:
            result = await asked(self._policy.provider_call, check)
        except ProviderError as error:
            self._complain(job.task, error)
            return await self._check_later(job, error)
        if isinstance(result, Running):
            return await self._note_progress(job, result)
        if isinstance(result, Failed):
            return await self._note_failure(job, result)
        if result.audio is not None:
            # The envelope is the way to it; what comes along may be holding a file.
            await self._storing.let_go(result.audio)
        return await self._follow(await self._result_ready(job, result))

    async def _check_later(self, job: Job, error: ProviderError) -> Job:
        """A wait that the vendor asks for when it is asked about a job holds for that job alone."""
        wait = min(error.retry_after or 0.0, self._policy.longest_pause)
        if wait > 0:
            deferred = states.CheckDeferred(self._journal.after(wait))
            job = await self._journal.commit(job, deferred)
        return _troubled(job, error) if job.task.phase is Phase.RUNNING else job

    def _complain(self, task: Task, error: ProviderError) -> None:
        """Now and then: every poll of every task meets the same outage."""
        now = anyio.current_time()
        if now >= self._quiet_until.get(task.provider, -math.inf):
            self._quiet_until[task.provider] = now + _QUIET_SECONDS
            logger.warning("%s can't be asked: %s (%s)", task.provider, error.code, error.detail)

    async def _note_failure(self, job: Job, result: Failed) -> Job:
        """A doubtful one counts when it is repeated some time later: two polls at once see one blip."""
        doubted_at, now = job.task.doubted_at, self._journal.now()
        interval = timedelta(seconds=self._policy.check_interval)
        if not result.doubtful:
            return await self._journal.commit(job, states.TaskFailed(result.error))
        if doubted_at is None:
            return await self._journal.commit(job, states.FailureDoubted(now + interval))
        if now - doubted_at < interval:
            return job
        # If it was wrong twice, the job is still running there.
        return await self._journal.commit(job, states.TaskFailed(result.error, owing=True))

    async def _note_progress(self, job: Job, result: Running) -> Job:
        """Written only when the word is new: most polls of a running job cost no second statement."""
        if job.task.word == result.word and job.task.doubted_at is None:
            seen = replace(job.task, elapsed=result.elapsed, progress=result.progress)
            return replace(job, task=seen)
        check_at = self._journal.after(sane_wait(result.check_after) or self._policy.check_interval)
        event = states.ProgressMade(result.word, result.elapsed, result.progress, check_at)
        return await self._journal.commit(job, event)

    async def _result_ready(self, job: Job, result: Ready) -> Job:
        event = states.ResultReady(
            plain(result.envelope or {}), result.expires_at, result.voice, result.receipt
        )
        after = await self._journal.commit(job, event, until_written=True)
        return await self._storing.keep_late(after, result)

    # --- cancel ---------------------------------------------------------------------------------------

    async def cancel(self, job: Job) -> Job:
        """Write the end. What may be running at the provider is settled by :meth:`settle`."""
        event = states.CancelRequested(ErrorInfo.of(TaskCancelled()))
        return await self._journal.commit(job, event, until_written=True)

    async def settle(self, job: Job) -> Job:
        """Tell the provider to stop, if that is still owed; the sweep tries again if it can't be told. A
        process that doesn't know the provider leaves that to one that does, while there may be one."""
        known = job.task.provider in self._providers
        if not known and self._journal.now() < job.task.finish_by + _DEBT_LASTS:
            later = self._journal.after(_QUIET_SECONDS)
            return await self._journal.commit(job, states.CancelDeferred(later, tried=False))
        if await self._tell_to_cancel(job.task):
            return await self._journal.commit(job, states.CancelSettled())
        tries = job.task.cancel_attempts + 1
        if tries >= self._policy.max_cancel_attempts:
            logger.warning("task %s: the provider could not be told to cancel", job.task.id)
            return await self._journal.commit(job, states.CancelSettled())
        retry_at = self._journal.after(backoff(self._policy.cancel_backoff, tries))
        return await self._journal.commit(job, states.CancelDeferred(retry_at))

    async def _after_end(self, job: Job) -> Job:
        return await self.settle(job) if job.task.cancel_owed else job

    async def _tell_to_cancel(self, task: Task) -> bool:
        """Whether the provider now knows; it may still answer that it is too late, or that it can't."""
        provider = self._providers.get(task.provider)
        if provider is None:
            return False
        try:
            await asked(self._policy.provider_call, partial(provider.cancel, task.ticket or {}))
        except ProviderError:
            return False
        return True

    # --- what the steps share -------------------------------------------------------------------------

    def _provider(self, job: Job) -> Provider:
        return self._providers[job.task.provider]


def _made_without_preview(task: Task) -> bool:
    return task.kind is TaskKind.DESIGN_PREVIEW and task.voice.provider_voice_id is not None


def _troubled(job: Job, error: ProviderError) -> Job:
    """The provider could not be asked: shown to this poll, stored nowhere (contract 4.2)."""
    return replace(job, task=replace(job.task, word=states.STATUS_ERROR, error=ErrorInfo.of(error)))
