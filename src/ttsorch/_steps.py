"""One step of one task, by the phase it is in: the walks of the design, in the order in which they happen.

Each step starts from a row, makes at most one call to the provider that can cost money and at most one
status check, and leaves a row from which anybody can go on. Which transitions are legal is in
:mod:`ttsorch.states`; how they are written is in :mod:`ttsorch._journal`.
"""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.lowlevel

from ttsorch import states
from ttsorch._audio import AudioGate
from ttsorch._journal import Journal
from ttsorch._keys import audio_key, audio_prefix, fence_of
from ttsorch._retry import RetryBudget, retry_call
from ttsorch.errors import (
    CorruptResult,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
    StorageUnavailable,
    TaskCancelled,
    TtsorchError,
    ValidationError,
)
from ttsorch.models import (
    Accepted,
    Attempt,
    AudioSource,
    AudioStream,
    Envelope,
    ErrorInfo,
    Failed,
    Job,
    OnUnknown,
    Phase,
    Policy,
    Ready,
    Running,
    SpeechRequest,
    StoredAudio,
    SubmitResult,
    Task,
    Ticket,
)
from ttsorch.protocols import BlobStore, Provider

logger = logging.getLogger("ttsorch")

_SUBMIT_TRIES = 3

T = TypeVar("T")


class Steps:
    """Takes jobs further, over the providers whose tasks this process may drive."""

    def __init__(
        self,
        *,
        journal: Journal,
        providers: Mapping[str, Provider],
        blobs: BlobStore,
        policy: Policy,
        on_unknown: OnUnknown | None,
    ) -> None:
        self._journal = journal
        self._providers = providers
        self._blobs = blobs
        self._policy = policy
        self._on_unknown = on_unknown
        self._budgets = {name: RetryBudget() for name in providers}
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
        if states.lease_is_live(task, now) or task.provider not in self._providers:
            return job
        return await self._by_phase[task.phase](job)

    def runs_here(self, task: Task) -> bool:
        """Whether the task's speech is made by a call of ours, which stopping ends."""
        provider = self._providers.get(task.provider)
        return provider is not None and provider.capabilities.direct

    # --- submit ---------------------------------------------------------------------------------------

    async def submit(self, job: Job) -> Job:
        """Under the submit lease: the one call that costs money, and the record of what came of it; then
        what follows from that."""
        return await self._follow(await self._journal.under_lease(job, partial(self._submit, job)))

    async def _start(self, job: Job) -> Job:
        word = "provider_synthesizing" if self.runs_here(job.task) else "provider_submitting"
        claimed = await self._journal.claim(job, states.SubmitStarted(word))
        return await self.submit(claimed) if claimed else await self._journal.reread(job)

    async def _follow(self, job: Job) -> Job:
        """What may be done at once after a step that has given its lease back."""
        if job.task.phase is Phase.SUBMIT_UNKNOWN:
            return await self._resolve_unknown(job)
        if job.task.phase is Phase.READY and states.is_due(job.task, self._journal.now()):
            return await self._finalize(job)
        return job

    async def _submit(self, job: Job) -> Job:
        called = False
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            called = True
            result = await self._ask_to_submit(job)
        except ProviderError as error:
            return await self._submit_failed(job, error)
        except ValidationError as error:
            return await self._journal.commit(job, states.TaskFailed(ErrorInfo.of(error)))
        except anyio.get_cancelled_exc_class():
            # We are being shut down. Whoever comes next needn't wait for the lease to expire.
            lost = self._lost("stopped while the submit was under way")
            put_back = states.SubmitDeferred(lost.error, self._journal.now())
            await self._journal.commit(job, lost if called else put_back)
            raise
        if isinstance(result, Accepted):
            return await self._accepted(job, _plain(result.ticket))
        if result.audio is not None:
            return await self._store_in_hand(job, result, result.audio)
        return await self._result_ready(job, result)

    async def _ask_to_submit(self, job: Job) -> SubmitResult:
        provider = self._provider(job)
        request = SpeechRequest(
            text=job.generation.text if job.generation else "",
            voice=job.task.voice,
            language=job.generation.language if job.generation else "Auto",
            options=job.task.options,
        )
        attempt = Attempt(key=job.task.id, number=job.task.attempts)
        left = self._seconds_left(job.task)
        # Each try is bounded and guarded by itself: a certain "not sent" may be repeated, a doubt never.
        submit = partial(_asked, left, partial(provider.submit, request, attempt), ambiguous=True)
        # A direct call that never started goes back into the queue instead, with a longer wait.
        return await retry_call(
            submit,
            attempts=1 if provider.capabilities.direct else _SUBMIT_TRIES,
            deadline=min(left, self._policy.submit_retry),
            budget=self._budgets[provider.name],
        )

    async def _submit_failed(self, job: Job, error: ProviderError) -> Job:
        info = ErrorInfo.of(error)
        if error.ambiguous:
            grace = self._journal.after(self._policy.unknown_grace)
            return await self._journal.commit(job, states.SubmitLost(info, grace))
        if error.retryable and self.runs_here(job.task):
            wait = error.retry_after or _backoff(self._policy.submit_backoff, job.task.attempts)
            deferred = states.SubmitDeferred(info, self._journal.after(wait))
            return await self._journal.commit(job, deferred)
        return await self._journal.commit(job, states.TaskFailed(info))

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
        """Another attempt of this task is followed already; this one would only cost. Its ticket has no
        place on the row, so it is told to stop now or never."""
        for tries in range(1, self._policy.max_cancel_attempts + 1):
            if await self._tell_to_cancel(task):
                logger.warning("task %s: a second accepted job was called off", task.id)
                return
            await anyio.sleep(_backoff(self._policy.submit_backoff, tries))
        logger.error("task %s: a second accepted job could not be called off", task.id)

    async def _lose_submit(self, job: Job) -> Job:
        lost = self._lost("whoever submitted this died before the answer")
        return await self._follow(await self._journal.commit(job, lost))

    def _lost(self, detail: str) -> states.SubmitLost:
        error = ProviderTimeout(code="submission_outcome_unknown", detail=detail, ambiguous=True)
        resolve_by = self._journal.after(self._policy.unknown_grace)
        return states.SubmitLost(ErrorInfo.of(error), resolve_by)

    async def _resolve_unknown(self, job: Job) -> Job:
        """Ask again only if that was allowed, and not for ever; else wait for a late answer until the
        deadline."""
        policy = self._on_unknown or self._provider(job).capabilities.on_unknown
        if policy is not OnUnknown.RESUBMIT:
            return job
        if job.task.resubmits >= self._policy.max_resubmits:
            error = job.task.error or self._lost("asked again too often").error
            return await self._journal.commit(job, states.TaskFailed(error, still_open=True))
        again = states.Resubmit(self._journal.after(self._policy.accept_within))
        job = await self._journal.commit(job, again)
        return await self._start(job) if job.task.phase is Phase.QUEUED else job

    # --- check ----------------------------------------------------------------------------------------

    async def _check(self, job: Job) -> Job:
        check = partial(self._provider(job).check, job.task.ticket or {})
        try:
            result = await _asked(self._policy.provider_call, check)
        except ProviderError as error:
            return _troubled(job, error)
        if isinstance(result, Running):
            return await self._note_progress(job, result)
        if isinstance(result, Failed):
            return await self._journal.commit(job, states.TaskFailed(result.error))
        return await self._follow(await self._result_ready(job, result))

    async def _note_progress(self, job: Job, result: Running) -> Job:
        """Written only when the word is new: most polls of a running job cost no second statement."""
        if job.task.word == result.word:
            seen = replace(job.task, elapsed=result.elapsed, progress=result.progress)
            return replace(job, task=seen)
        check_at = self._journal.after(result.check_after or self._policy.check_interval)
        event = states.ProgressMade(result.word, result.elapsed, result.progress, check_at)
        return await self._journal.commit(job, event)

    async def _result_ready(self, job: Job, result: Ready) -> Job:
        event = states.ResultReady(_plain(result.envelope or {}), result.expires_at)
        return await self._journal.commit(job, event, until_written=True)

    # --- finalize -------------------------------------------------------------------------------------

    async def _finalize(self, job: Job) -> Job:
        """Claim the finalize lease, then copy the result under a key that only this claim may use."""
        claimed = await self._journal.claim(job, states.StoreStarted())
        if claimed is None:
            return await self._journal.reread(job)
        # Only who was here before can have left something behind.
        first = job.task.phase is Phase.READY and not job.task.finalize_attempts
        store = partial(self._store_from_anywhere, claimed, first=first)
        return await self._follow(await self._journal.under_lease(claimed, store))

    async def _store_from_anywhere(self, job: Job, *, first: bool) -> Job:
        """What was uploaded whole but not yet published is used; else the result is fetched; a result
        that only existed in a dead one's hands is lost."""
        try:
            left_behind = None if first else await self._left_behind(job.task)
        except StorageUnavailable as error:
            return await self._store_failed(job, error)
        if left_behind is not None:
            return await self._store(job, self._reopened(left_behind))
        if job.task.envelope is not None:
            return await self._store(job, self._provider(job).fetch(job.task.envelope))
        lost = self._lost("whoever held the speech died before it was stored")
        # When it was our own storage that failed, that is what the operator has to read.
        return await self._journal.commit(job, replace(lost, error=job.task.error or lost.error))

    async def _left_behind(self, task: Task) -> str | None:
        """The newest upload of an earlier holder. A blob is whole or not there, so it is as good as the
        result itself."""
        found = [blob.key async for blob in self._blobs.list(audio_prefix(*_subject(task)))]
        return max(found, key=fence_of, default=None)

    @asynccontextmanager
    async def _reopened(self, key: str) -> AsyncIterator[AudioStream]:
        async with self._blobs.open(key) as blob:
            yield AudioStream(blob.chunks, blob.content_type, blob.size)

    async def _store_in_hand(self, job: Job, result: Ready, source: AudioSource) -> Job:
        """A direct provider's answer is the speech itself: store it under the lease we already hold."""
        receive = partial(self._receive, job, result, source)
        try:
            return await _asked(self._seconds_left(job.task), receive)
        except ProviderError as error:
            return await self._lose_in_hand(job, error)

    async def _receive(self, job: Job, result: Ready, source: AudioSource) -> Job:
        envelope = None if result.envelope is None else _plain(result.envelope)
        async with source as stream:
            started = states.StoreStarted(envelope, result.expires_at)
            storing = await self._journal.commit(job, started)
            if storing.task.phase is Phase.STORING and storing.task.fence == job.task.fence:
                return await self._store(storing, nullcontext(stream))
            return storing

    async def _store(self, job: Job, source: AudioSource) -> Job:
        copy = partial(self._copy, job.task, source)
        try:
            audio = await _asked(self._seconds_left(job.task), copy)
        except (ProviderError, StorageUnavailable) as error:
            return await self._store_failed(job, error)
        except anyio.get_cancelled_exc_class():
            await self._journal.commit(job, self._deferred(job, ProviderUnavailable()))
            raise
        published = await self._journal.commit(job, states.Stored(audio))
        if published.task.audio != audio:
            await self._discard(audio)
        return published

    async def _copy(self, task: Task, source: AudioSource) -> StoredAudio:
        async with source as stream:
            gate = await AudioGate.open(stream, max_bytes=self._policy.max_audio_bytes)
            key = audio_key(*_subject(task), task.fence, gate.format.extension)
            await self._blobs.put(key, gate.chunks(), gate.format.content_type)
            return gate.stored(key)

    async def _discard(self, audio: StoredAudio) -> None:
        """Somebody else ended this task: our copy is garbage, and nobody else can name its key."""
        try:
            await self._blobs.delete(audio.key)
        except StorageUnavailable as error:
            logger.warning("an orphan blob stays for collect_orphans: %s", error.code)

    async def _store_failed(self, job: Job, error: ProviderError | StorageUnavailable) -> Job:
        logger.warning("task %s: not stored: %s (%s)", job.task.id, error.code, error.detail)
        info, tries = ErrorInfo.of(error), job.task.finalize_attempts + 1
        if isinstance(error, StorageUnavailable):
            # Ours may be away for as long as the task has time. It may even have kept the upload whose
            # answer it lost, so speech that was in our hands is looked for before it is given up.
            return await self._journal.commit(job, self._deferred(job, error))
        if job.task.envelope is None:
            return await self._lose_in_hand(job, error)
        if tries >= self._policy.max_finalize_attempts:
            return await self._journal.commit(job, states.TaskFailed(info))
        if not isinstance(error, ResultExpired):
            return await self._journal.commit(job, self._deferred(job, error))
        # A job provider may give a fresh URL for an old ticket; otherwise the audio is gone.
        if job.task.ticket is None:
            return await self._journal.commit(job, states.TaskFailed(info))
        retry_at = self._deferred(job, error).retry_at
        return await self._journal.commit(job, states.ResultLost(info, retry_at))

    def _deferred(
        self, job: Job, error: ProviderError | StorageUnavailable
    ) -> states.StoreDeferred:
        backoff = _backoff(self._policy.finalize_backoff, job.task.finalize_attempts + 1)
        retry_at = self._journal.after(error.retry_after or backoff)
        return states.StoreDeferred(ErrorInfo.of(error), retry_at)

    async def _lose_in_hand(self, job: Job, error: ProviderError) -> Job:
        """Speech that can't be asked for again: bad speech is the provider's answer; speech that broke off
        loses a call that may have cost money."""
        if isinstance(error, CorruptResult):
            return await self._journal.commit(job, states.TaskFailed(ErrorInfo.of(error)))
        return await self._journal.commit(job, self._lost(f"the speech broke off: {error.code}"))

    # --- cancel ---------------------------------------------------------------------------------------

    async def cancel(self, job: Job) -> Job:
        """Write the end. What may be running at the provider is settled by :meth:`settle`."""
        event = states.CancelRequested(ErrorInfo.of(TaskCancelled()))
        return await self._journal.commit(job, event, until_written=True)

    async def settle(self, job: Job) -> Job:
        """Tell the provider to stop, if that is still owed; the sweep tries again if it can't be told."""
        if await self._tell_to_cancel(job.task):
            return await self._journal.commit(job, states.CancelSettled())
        tries = job.task.cancel_attempts + 1
        if tries >= self._policy.max_cancel_attempts:
            logger.warning("task %s: the provider could not be told to cancel", job.task.id)
            return await self._journal.commit(job, states.CancelSettled())
        retry_at = self._journal.after(_backoff(self._policy.cancel_backoff, tries))
        return await self._journal.commit(job, states.CancelDeferred(retry_at))

    async def _after_end(self, job: Job) -> Job:
        return await self.settle(job) if job.task.cancel_owed else job

    async def _tell_to_cancel(self, task: Task) -> bool:
        """Whether the provider now knows; it may still answer that it is too late, or that it can't."""
        provider = self._providers.get(task.provider)
        if provider is None:
            return False
        try:
            await _asked(self._policy.provider_call, partial(provider.cancel, task.ticket or {}))
        except ProviderError:
            return False
        return True

    # --- what the steps share -------------------------------------------------------------------------

    def _provider(self, job: Job) -> Provider:
        return self._providers[job.task.provider]

    def _seconds_left(self, task: Task) -> float:
        return (task.finish_by - self._journal.now()).total_seconds()


def _subject(task: Task) -> tuple[str, str]:
    """Whose audio it is, and of what."""
    return task.owner, task.generation_id or task.id


def _plain(record: Ticket | Envelope) -> Ticket:
    """As it will be read back from the row, so that the two can be compared."""
    plain: Ticket = json.loads(json.dumps(record, default=dict))
    return plain


def _backoff(base: float, tries: int) -> float:
    return min(60.0, base * 2.0 ** min(tries - 1, 16))


def _troubled(job: Job, error: ProviderError) -> Job:
    """The provider could not be asked: shown to this poll, stored nowhere (contract 4.2)."""
    return replace(job, task=replace(job.task, word="status_error", error=ErrorInfo.of(error)))


async def _asked(seconds: float, call: Callable[[], Awaitable[T]], *, ambiguous: bool = False) -> T:
    """A call into an adapter, bounded, and with nothing but our own errors coming out of it."""
    try:
        with anyio.fail_after(max(0.0, seconds)):
            return await call()
    except TtsorchError:
        raise
    except TimeoutError as error:
        raise ProviderTimeout(detail="our own deadline passed", ambiguous=ambiguous) from error
    except Exception as error:
        logger.exception("a defect in an adapter")
        raise ProviderUnavailable(
            code="adapter_defect",
            detail=type(error).__name__,
            retryable=False,
            ambiguous=ambiguous,
        ) from error
