"""The calls that can cost money: one for each kind of task, with all that it needs at hand.

Whether one may be made, and what follows from its answer, is decided in :mod:`ttsorch._steps`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeAlias

import anyio

from ttsorch._asking import asked
from ttsorch._clips import Clips
from ttsorch._pauses import Pauses
from ttsorch._retry import RetryBudget, retry_call
from ttsorch.errors import ProviderError, ProviderRejected
from ttsorch.models import Attempt, Job, Policy, SpeechRequest, SubmitResult, Task, TaskKind
from ttsorch.protocols import Provider, VoiceCloning, VoiceDesign

_TRIES = 3

Call: TypeAlias = Callable[[], Awaitable[SubmitResult]]


class PaidCalls:
    """Makes calls to the providers whose tasks this process may drive."""

    def __init__(
        self, *, providers: Mapping[str, Provider], clips: Clips, pauses: Pauses, policy: Policy
    ) -> None:
        self._providers = providers
        self._pauses = pauses
        self._clips = clips
        self._policy = policy
        self._budgets = {name: RetryBudget() for name in providers}
        self._clip_slots = anyio.Semaphore(policy.clip_concurrency)

    def take_long(self, task: Task) -> bool:
        """Whether the task's speech, or its voice, is made by a long call of ours, which stopping ends."""
        provider = self._providers.get(task.provider)
        if provider is None:
            return False
        return provider.capabilities.direct or task.kind is not TaskKind.GENERATE

    def room(self, task: Task) -> AbstractAsyncContextManager[object]:
        """A recording is held in memory, more than once over, for as long as its call takes."""
        sends_clip = self._providers[task.provider].capabilities.sends_clip
        return self._clip_slots if sends_clip or task.kind is TaskKind.CLONE else nullcontext()

    async def prepared(self, job: Job) -> Call:
        """The call that the job's task is for.

        Raises:
            ClipUnavailable: its recording can't be read. ValidationError: it is too large.
            ProviderRejected: the provider has no such call.
        """
        task, provider = job.task, self._providers[job.task.provider]
        attempt = Attempt(key=task.id, number=task.attempts)
        if task.kind is TaskKind.DESIGN_PREVIEW and isinstance(provider, VoiceDesign):
            return partial(provider.design, task.voice, attempt)
        if task.kind is TaskKind.CLONE and isinstance(provider, VoiceCloning):
            clip = await self._clips.load(task.voice.reference_audio_key or "")
            return partial(provider.clone, task.voice, clip, attempt)
        if task.kind is not TaskKind.GENERATE:
            raise ProviderRejected(code="unsupported", detail=f"{task.provider} can't {task.kind}")
        request = SpeechRequest(
            text=job.generation.text if job.generation else "",
            voice=task.voice,
            language=job.generation.language if job.generation else "Auto",
            options=task.options,
        )
        if provider.capabilities.sends_clip and task.voice.reference_audio_key:
            clip = await self._clips.load(task.voice.reference_audio_key)
            request = replace(request, clip=clip)
        return partial(provider.submit, request, attempt)

    async def make(self, task: Task, call: Call, seconds: float) -> SubmitResult:
        """What the call answers, within so many seconds.

        Raises:
            ProviderError: as :meth:`~ttsorch.protocols.Provider.submit`.
        """
        # Each try is bounded and guarded by itself: a certain "not sent" may be repeated, a doubt never.
        # A call that takes long goes back into the queue instead, with a longer wait.
        tries = _Tries(partial(asked, seconds, call, ambiguous=True), task.provider, self._pauses)
        return await retry_call(
            tries.make,
            attempts=1 if self.take_long(task) else _TRIES,
            deadline=min(seconds, self._policy.submit_retry),
            budget=self._budgets[task.provider],
            before_wait=tries.turned_away,
        )


class _Tries:
    """One call, made again by the caller who waits for it: what the vendor answers to it holds for all."""

    def __init__(self, call: Call, provider: str, pauses: Pauses) -> None:
        self._call = call
        self._provider = provider
        self._pauses = pauses
        self._waited = False
        self._ours: datetime | None = None

    async def make(self) -> SubmitResult:
        if self._waited:
            await self._pauses.check(self._provider, self._ours)
        return await self._call()

    async def turned_away(self, error: ProviderError) -> None:
        """Before the wait: others must not run into the same answer meanwhile."""
        self._waited = True
        self._ours = await self._pauses.begin(self._provider, error)
