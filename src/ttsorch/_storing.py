"""Finalize: the finished speech comes into our own storage, whole and proven, or not at all.

Under a lease, the result is copied under a key that only the lease's holder may use, through the audio
gate, and then published by one transition. What was uploaded but not published is never forgotten.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import anyio

from ttsorch import states
from ttsorch._asking import asked, backoff, plain
from ttsorch._audio import AudioGate
from ttsorch._journal import Journal
from ttsorch._keys import audio_key, audio_prefix, fence_of
from ttsorch.errors import (
    CorruptResult,
    ProviderError,
    ProviderUnavailable,
    ResultExpired,
    StorageUnavailable,
)
from ttsorch.models import (
    AudioSource,
    AudioStream,
    Envelope,
    ErrorInfo,
    Job,
    Phase,
    Policy,
    Ready,
    StoredAudio,
    Task,
    TaskKind,
)
from ttsorch.protocols import BlobStore

logger = logging.getLogger("ttsorch")

Fetch: TypeAlias = Callable[[Envelope], AudioSource]


class Storing:
    """Copies results into the blob store, and publishes them."""

    def __init__(self, *, journal: Journal, blobs: BlobStore, policy: Policy) -> None:
        self._journal = journal
        self._blobs = blobs
        self._policy = policy

    async def finalize(self, job: Job, fetch: Fetch) -> Job:
        """Claim the finalize lease, then copy the result, from wherever it can be had."""
        claimed = await self._journal.claim(job, states.StoreStarted())
        if claimed is None:
            return await self._journal.reread(job)
        # Only who was here before can have left something behind.
        first = job.task.phase is Phase.READY and not job.task.finalize_attempts
        store = partial(self._store_from_anywhere, claimed, fetch, first=first)
        return await self._journal.under_lease(claimed, store)

    async def store_in_hand(self, job: Job, result: Ready, source: AudioSource) -> Job:
        """A direct provider's answer is the speech itself: store it under the lease we already hold. What
        the call made is on the row before the speech is looked at."""
        envelope = None if result.envelope is None else plain(result.envelope)
        started = states.StoreStarted(envelope, result.expires_at, result.voice, result.receipt)
        ours = False
        try:
            storing = await self._journal.commit(job, started, patiently=True)
            ours = storing.task.phase is Phase.STORING and storing.task.fence == job.task.fence
        finally:
            if not ours:
                await self.let_go(source)
        return await self._store(storing, source) if ours else await self.keep_late(storing, result)

    async def keep_late(self, job: Job, result: Ready) -> Job:
        """What an answer brought after its task had ended: the voice that was made, and the bill."""
        late = states.AnswerArrived(result.voice, result.receipt)
        if not states.allows(job.task, late):
            return job
        return await self._journal.commit(job, late, until_written=True)

    async def let_go(self, source: AudioSource) -> None:
        """Speech in hand may be holding a file until somebody has opened and closed it."""
        with anyio.move_on_after(self._policy.commit, shield=True):
            try:
                async with source:
                    pass
            except ProviderError:
                pass  # there was nothing to hold

    async def _store_from_anywhere(self, job: Job, fetch: Fetch, *, first: bool) -> Job:
        """What was uploaded whole but not yet published is used; else the result is fetched; a result
        that only existed in a dead one's hands is lost."""
        try:
            left_behind = None if first else await self._left_behind(job.task)
        except StorageUnavailable as error:
            return await self._store_failed(job, error)
        if left_behind is not None:
            return await self._store(job, self._reopened(left_behind))
        if job.task.envelope is not None:
            return await self._store(job, fetch(job.task.envelope))
        why = "whoever held the speech died before it was stored"
        if job.task.error is not None:
            why = f"{why}; last: {job.task.error.code}"
        lost = self._lost(job, why)
        if isinstance(lost, states.TaskFailed):
            return await self._journal.commit(job, lost)
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

    async def _store(self, job: Job, source: AudioSource) -> Job:
        copy = partial(self._copy, job.task, source)
        try:
            audio = await asked(self._journal.seconds_left(job.task), copy)
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
        bad = isinstance(error, CorruptResult) and tries >= self._policy.max_bad_results
        if bad or tries >= self._policy.max_finalize_attempts:
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
        wait = backoff(self._policy.finalize_backoff, job.task.finalize_attempts + 1)
        retry_at = self._journal.after(error.retry_after or wait)
        return states.StoreDeferred(ErrorInfo.of(error), retry_at)

    async def _lose_in_hand(self, job: Job, error: ProviderError) -> Job:
        """Speech that can't be asked for again: bad speech is the provider's answer; speech that broke off
        loses a call that may have cost money."""
        if isinstance(error, CorruptResult):
            return await self._journal.commit(job, states.TaskFailed(ErrorInfo.of(error)))
        lost = self._lost(job, f"the speech broke off: {error.code}")
        return await self._journal.commit(job, lost)

    def _lost(self, job: Job, detail: str) -> states.SubmitLost | states.TaskFailed:
        """What became of a preview isn't in doubt: its voice was made, and the row says which."""
        made = job.task.voice.provider_voice_id is not None
        if not made or job.task.kind is not TaskKind.DESIGN_PREVIEW:
            return self._journal.lost(detail)
        return self.preview_lost(detail)

    def preview_lost(self, detail: str) -> states.TaskFailed:
        """The end of a preview whose voice is on the row, and whose audio is gone."""
        error = ResultExpired(
            "The voice was made, but its preview was lost. Please try again.",
            code="preview_lost",
            detail=detail,
        )
        return states.TaskFailed(ErrorInfo.of(error))


def _subject(task: Task) -> tuple[str, str]:
    """Whose audio it is, and of what."""
    return task.owner, task.generation_id or task.id
