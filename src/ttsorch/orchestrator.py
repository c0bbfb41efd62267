"""The verbs: what a web backend, a queue worker or a cron job calls.

A star, not a chain: each verb reads or writes a row, hands the job to :mod:`ttsorch._steps` for one step,
and returns what the row then says; nothing below calls back up. Every step is idempotent, so it doesn't
matter who ticks (a client's poll, the sweep, a queue worker), how many tick at once, or which of them dies
half way: the next tick finds the row and goes on. Three habits carry that:

* commit before effect: the row says what is about to be done before it is done;
* compare-and-set: whoever comes second writes nothing and returns the truth (:mod:`ttsorch._journal`);
* flights: a step that began is out of reach of its caller's cancellation (:mod:`ttsorch._flights`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType

from ttsorch._announcer import Announcer
from ttsorch._casting import Casting
from ttsorch._clips import Clips
from ttsorch._driver import Driver
from ttsorch._flights import Flights
from ttsorch._intake import Intake
from ttsorch._journal import Journal
from ttsorch._outbox import Outbox
from ttsorch._pauses import Pauses
from ttsorch._payload_hash import payload_hash
from ttsorch._retention import Retention
from ttsorch._speaking import Speaking
from ttsorch._steps import Steps
from ttsorch._sweep import sweep
from ttsorch.capabilities import check_idempotency_key
from ttsorch.errors import ConfigurationError, NotFound, ValidationError
from ttsorch.models import (
    NO_LIMITS,
    Effect,
    EffectState,
    Generation,
    Job,
    JsonValue,
    Limits,
    OnUnknown,
    Page,
    Pause,
    Phase,
    Policy,
    PurgeReport,
    SpeechRequest,
    Status,
    StuckTask,
    SweepReport,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.protocols import (
    BlobStore,
    EffectListener,
    Listener,
    Provider,
    TaskStore,
    VoiceCatalog,
    VoiceStore,
)

__all__ = ["Orchestrator", "SweepReport"]

#: In seconds. Longer than that nobody waits, and every clock can add it.
_LONGEST_PAUSE = 366 * 24 * 3600.0


class Orchestrator:
    """Durable speech jobs over one provider, one task store and one blob store.

    Use it as an async context manager. It closes none of its parts: whoever opened them closes them.

    Args:
        provider: takes new tasks.
        also: providers of earlier tasks, so that what is under way can finish after a switch; and those
            that :meth:`using` can switch to.
        voices: the owners' own voices; without it only built-in voices exist.
        background: direct tasks and a sweep run in this process's event loop. Without it, a direct task
            runs inside its first poll, and somebody has to call :meth:`sweep_once`.
        polls_synthesize: whether a poll may make a direct task's long call, where nothing in the
            background does. Without it, polls leave that to the :meth:`step` or :meth:`sweep_once` of
            another process; they still check jobs, store results and see deadlines pass.
        on_unknown: what to do when nobody knows whether a submit was accepted; the provider's own
            default if None. ``RESUBMIT`` may pay twice.
        limits: how much is taken in, by all processes over one store together.
        listeners: hear of transitions in this process.
        effects: are told of every task that ends, at least once, wherever it ended: to charge, refund or
            notify. Give all processes over one store the same.
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
        polls_synthesize: bool = True,
        on_unknown: OnUnknown | None = None,
        limits: Limits = NO_LIMITS,
        listeners: Sequence[Listener] = (),
        effects: Sequence[EffectListener] = (),
    ) -> None:
        self.provider = provider
        self.tasks = tasks
        self.blobs = blobs
        self.voices = voices
        self.policy = policy or Policy()
        self.background = background
        self._limits = limits
        earlier = {each.name: each for each in also if each.name != provider.name}
        #: By name: the one that takes new tasks, and those that finish earlier ones.
        self.providers: Mapping[str, Provider] = {provider.name: provider, **earlier}
        self._announcer = Announcer(listeners)
        self._deliveries: Flights[None] = Flights(self.policy.shutdown_grace)
        self._clips = Clips(blobs)
        self._outbox = Outbox(tasks, effects, self.policy)
        self._steps, self._driver = self._assembled(on_unknown, polls_synthesize)
        self._retention = Retention(
            tasks=tasks, blobs=blobs, outbox=self._outbox, policy=self.policy, end=self._settled
        )

    def _assembled(
        self, on_unknown: OnUnknown | None, polls_synthesize: bool
    ) -> tuple[Steps, Driver]:
        flights: Flights[Job | None] = Flights(self.policy.shutdown_grace)
        journal = Journal(self.tasks, self.policy, self._announcer, flights, self._outbox)
        steps = Steps(
            journal=journal,
            providers=self.providers,
            voices=self.voices,
            blobs=self.blobs,
            pauses=Pauses(self.tasks, self.policy),
            policy=self.policy,
            on_unknown=on_unknown,
        )
        driver = Driver(
            tasks=self.tasks,
            steps=steps,
            journal=journal,
            flights=flights,
            policy=self.policy,
            background=self.background,
            polls_synthesize=polls_synthesize,
        )
        return steps, driver

    # These are made anew each time: they hold nothing of their own, and go by the provider of the moment.

    @property
    def _intake(self) -> Intake:
        return Intake(
            provider_name=self.provider.name,
            tasks=self.tasks,
            steps=self._steps,
            driver=self._driver,
            announcer=self._announcer,
            policy=self.policy,
            background=self.background,
        )

    @property
    def _speaking(self) -> Speaking:
        return Speaking(
            provider=self.provider,
            tasks=self.tasks,
            clips=self._clips,
            intake=self._intake,
            driver=self._driver,
        )

    @property
    def _casting(self) -> Casting:
        return Casting(
            provider=self.provider,
            tasks=self.tasks,
            voices=self.voices,
            clips=self._clips,
            intake=self._intake,
            driver=self._driver,
        )

    def using(self, mode: str) -> "Orchestrator":
        """This orchestrator, but with another of its providers taking the new tasks: for a host that looks
        its provider mode up with every request, and may switch it without a restart. Everything else is
        shared, tasks under way included; only the first one is entered and left.

        Args:
            mode: the provider's name; blank for the one that this orchestrator was made with.

        Raises:
            ConfigurationError: none of its providers has this name (contract row R2).
        """
        name = mode.strip().lower() or self.provider.name
        if name not in self.providers:
            raise ConfigurationError(
                f"Invalid TTS_PROVIDER_MODE: {mode}. Expected one of: {', '.join(self.providers)}",
                code="provider_unknown",
                field="TTS_PROVIDER_MODE",
            )
        other = copy(self)
        other.provider = self.providers[name]
        return other

    async def __aenter__(self) -> "Orchestrator":
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._deliveries)
            deliver = partial(self._announcer.deliver, self._announcer.open())
            self._deliveries.start("listeners", deliver)
            stack.callback(self._announcer.close)
            if self.background:
                relay = await stack.enter_async_context(Flights[None](0))
                relay.start("effects", self._outbox.deliver_forever)
            await stack.enter_async_context(self._driver)
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
            ActiveJobLimit, SubmitRateLimit, ProviderBusy: a limit would be passed, or the provider is paused;
                nothing was written.
            StorageUnavailable: unknown whether anything was written; repeat with the same key.
        """
        return await self._speaking.submit(
            request, owner=owner, idempotency_key=idempotency_key, limits=self._limits
        )

    async def find_submitted(
        self,
        idempotency_key: str,
        *,
        text: str,
        voice_id: str,
        owner: str,
        language: str = "Auto",
        options: Mapping[str, JsonValue] | None = None,
    ) -> Job | None:
        """The job that :meth:`submit` made under this key, if it did: for a caller who repeats a request
        whose voice may be gone by now.

        Raises:
            IdempotencyConflict: the key was used with another request.
        """
        return await self._speaking.find(
            idempotency_key,
            text=text,
            voice_id=voice_id,
            owner=owner,
            language=language,
            options=options or {},
        )

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
        if not self._driver.poll_drives(job.task):
            return job
        return _as_seen_by(job, await self._driver.step(job))

    async def step(self, task_id: str, *, owner: str) -> Job:
        """Take the task one step further, as a queue worker or webhook does: :meth:`poll_once` without
        counting a poll.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        return _as_seen_by(job, await self._driver.step(job))

    async def finalize(self, task_id: str, *, owner: str) -> Job:
        """Copy the task's result into our own storage if it is ready for that; else nothing.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        if job.task.phase not in (Phase.READY, Phase.STORING):
            return job
        return _as_seen_by(job, await self._driver.step(job))

    async def cancel(self, task_id: str, *, owner: str) -> Job:
        """End the task as cancelled, unless it has ended already: the job comes back as it then is.

        What runs in this process stops at once, in another one within a third of the lease. The provider
        is told as well as it can be.

        Raises:
            NotFound: no such task for this owner.
        """
        job = await self.get(task_id, owner=owner)
        return await self._cancelled(job)

    async def _cancelled(self, job: Job) -> Job:
        work = partial(self._cancel, job)
        return await self._driver.share(f"cancel {job.task.id}", job, work)

    async def _cancel(self, job: Job) -> Job:
        job = await self._steps.cancel(job)
        self._driver.stop(job.task)
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

    async def list_effects(
        self, state: EffectState = EffectState.GAVE_UP, *, limit: int = 100
    ) -> Sequence[Effect]:
        """For operators, over all owners: what listeners are owed, were told, or could not be told."""
        return await self.tasks.list_effects(state, limit=limit)

    async def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        """For operators, over all owners: tasks whose call to the provider was never answered, oldest
        first. Each may be work that was paid for and that nobody follows."""
        return await self.tasks.list_unknown(limit=limit)

    async def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        """For operators, over all owners: tasks that no step takes further, or whose rows can't be read, most
        failures first. They are tried again, later each time, until their deadlines."""
        return await self.tasks.list_stuck(limit=limit)

    # --- pauses ---------------------------------------------------------------------------------------

    async def list_pauses(self) -> Sequence[Pause]:
        """The providers to which nothing new is sent just now: their vendors asked for that, or you did."""
        return await self.tasks.list_pauses()

    async def pause_provider(self, provider: str, *, seconds: float) -> None:
        """Let no worker over this store send anything new to ``provider`` for so many seconds; what runs
        there goes on. A pause that lasts longer stays as it is.

        Raises:
            ValidationError: not a positive number of seconds, or more than a year; nothing was written.
        """
        if not 0 < seconds <= _LONGEST_PAUSE:
            raise ValidationError(
                "A pause must last for a positive number of seconds, and not more than a year.",
                code="pause_invalid",
                field="seconds",
            )
        await self.tasks.pause_provider(provider, seconds=seconds, reason="operator")

    async def end_pause(self, provider: str) -> bool:
        """Let new tasks go to ``provider`` again before its pause is over; what has waited comes when that
        was to be. False if it wasn't paused."""
        return await self.tasks.end_pause(provider)

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
        # The row went first: a crash here leaves an orphan for collect_orphans, not a dead link. Rows that
        # came from elsewhere may name what another one names too, or what is another owner's.
        audio = generation.audio
        if audio and await self.tasks.unreferenced([audio.key]):
            await self.blobs.delete(audio.key)

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
        raise NotFound("Voice not found.", code="voice_not_found")

    async def upload_clip(
        self, voice_id: str, audio: bytes | AsyncIterator[bytes], *, owner: str
    ) -> None:
        """Keep a recording for a voice that is to be cloned under ``voice_id``, a fresh UUID.

        Raises:
            ValidationError: it is far too large, there is one for this id already (409), or the provider
                can't clone; nothing was kept.
        """
        await self.receive_clip(self.clip_key(voice_id, owner=owner), audio)

    def clip_key(self, voice_id: str, *, owner: str) -> str:
        """Where :meth:`receive_clip` keeps the recording for this voice: for a link that lets somebody
        upload it who isn't known by name.

        Raises:
            ValidationError: the provider can't clone (409), or the id is no UUID.
        """
        return self._casting.clip_key(voice_id, owner=owner)

    async def receive_clip(self, clip_key: str, audio: bytes | AsyncIterator[bytes]) -> None:
        """:meth:`upload_clip`, for who was given a :meth:`clip_key`.

        Raises:
            ValidationError: it is far too large, or there is one already (409); nothing was kept.
        """
        await self._clips.upload(clip_key, audio)

    async def clone_voice(
        self,
        voice_id: str,
        *,
        name: str,
        owner: str,
        language: str = "Auto",
        transcript: str | None = None,
        source: VoiceSource = VoiceSource.UPLOADED,
        description: str | None = None,
    ) -> Voice:
        """Make a voice of what :meth:`upload_clip` brought, with one call to the provider if it keeps
        voices of its own. Repeat it when it failed: a call that may have been accepted, or that began and
        broke, is never sent again; for another try, upload under another id.

        Raises:
            ValidationError: nothing was written; code ``voice_exists`` (409) when the voice is made already.
            ProviderUnavailable: code ``voice_in_progress``: it is still being made; repeat this.
            ProviderError: the provider could not make it, or (``submission_outcome_unknown``) nobody
                knows whether it did.
        """
        return await self._casting.clone(
            voice_id,
            name=name,
            language=language,
            transcript=transcript,
            source=source,
            description=description,
            owner=owner,
        )

    async def preview_design(
        self,
        *,
        text: str,
        description: str,
        owner: str,
        name: str | None = None,
        language: str = "Auto",
        idempotency_key: str | None = None,
    ) -> Job:
        """Have a voice made from ``description`` and hear it say ``text``: a task of kind
        ``design_preview``, whose audio is the preview. Nothing is saved yet.

        Raises:
            ValidationError: nothing was written.
            IdempotencyConflict: the key was used with another request.
            ActiveJobLimit, SubmitRateLimit, ProviderBusy: a limit would be passed, or the provider is paused;
                nothing was written.
        """
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        return await self._casting.preview(
            name=name,
            text=text,
            language=language,
            description=description,
            owner=owner,
            idempotency_key=idempotency_key,
            payload_hash=payload_hash("design", name, text, language.casefold(), description),
            limits=self._limits,
        )

    async def save_design(self, task_id: str, *, owner: str, name: str | None = None) -> Voice:
        """Add the voice of a finished preview to the owner's voices; no call to the provider. Saving it
        twice gives the same voice; deleting the task doesn't matter.

        Raises:
            NotFound: no such preview for this owner, or its voice was saved and deleted.
            ValidationError: the preview isn't finished (409).
        """
        return await self._casting.save(task_id, name=name, owner=owner)

    async def adopt_design(
        self, audio: bytes, *, name: str, text: str, language: str, description: str, owner: str
    ) -> Voice:
        """Make a designed voice of the audio of a preview whose task nobody knows any more, as
        :meth:`clone_voice` would; ``text`` is what it says. The same again gives the same voice.

        Raises:
            As :meth:`upload_clip` and :meth:`clone_voice` do.
        """
        return await self._casting.adopt(
            audio, name=name, text=text, language=language, description=description, owner=owner
        )

    async def delete_voice(self, voice_id: str, *, owner: str) -> None:
        """Take a voice out of the owner's voices; harmless when repeated. Its recording, what the provider
        keeps, and tasks that use it stay as they are.

        Raises:
            NotFound: no such voice for this owner.
        """
        if self.voices is None or not await self.voices.delete_voice(owner, voice_id):
            raise NotFound("Voice not found.", code="voice_not_found")

    # --- sweeping -------------------------------------------------------------------------------------

    async def sweep_once(self) -> SweepReport:
        """Take every due task (up to ``policy.sweep_batch``) one step further, whoever owns it.

        One bad task never stops the others. Run it as often and from as many places as you like.

        Raises:
            StorageUnavailable: the due tasks could not be read.
        """
        return await sweep(self._driver, self._outbox)

    async def collect_orphans(self, *, dry_run: bool = True) -> Sequence[str]:
        """The keys of blobs that no row names and that are older than ``policy.orphan_grace``; deletes
        them unless ``dry_run``. Such blobs are left by crashes and lost races."""
        return await self._retention.collect_orphans(dry_run=dry_run)

    # --- retention ------------------------------------------------------------------------------------

    async def purge(
        self,
        *,
        older_than: float,
        limit: int = 500,
        audio: bool = False,
        dry_run: bool = False,
    ) -> PurgeReport:
        """For operators, over all owners: remove the rows of tasks that ended more than ``older_than``
        seconds ago, and of their settled effects; up to ``limit`` of each, so call it again while the report
        says ``more``. Idempotency keys are forgotten with their tasks.

        Histories, audio and voices stay. With ``audio`` the generations go that ended before then, with
        their audio, and previews that were never saved. Never goes: what is active; what a provider or a
        listener is still owed; a clone whose voice was not made.

        Raises:
            ValidationError: nothing was removed.
            StorageUnavailable: call it again; audio whose rows are gone is left to :meth:`collect_orphans`.
        """
        return await self._retention.purge(
            older_than=older_than, limit=limit, audio=audio, dry_run=dry_run
        )

    async def purge_owner(
        self, owner: str, *, limit: int = 500, abandon_owed: bool = False, dry_run: bool = False
    ) -> PurgeReport:
        """Remove all that there is of an owner: tasks, history, voices, effects, and every blob. What is
        active is cancelled first, and providers are told. Repeat it until the report says ``done``, also
        after a crash: what is gone is gone.

        A task whose provider could not be told yet, or of whose end a listener wasn't, stays for that,
        hidden, until it was or we gave up; with ``abandon_owed`` it goes all the same. What the owner begins
        meanwhile stays whole. Voices that a provider keeps stay there.

        Args:
            limit: how many rows of each kind are removed in one transaction; what a dry run counts up to.

        Raises:
            ValidationError: nothing was removed.
            StorageUnavailable: call it again.
        """
        return await self._retention.purge_owner(
            owner, limit=limit, abandon_owed=abandon_owed, dry_run=dry_run
        )

    async def _settled(self, job: Job) -> Job:
        if job.task.status.terminal:
            return await self._driver.step_if_due(job)
        return await self._cancelled(job)

    async def _end(self, job: Job) -> None:
        if not job.task.status.terminal:
            await self.cancel(job.task.id, owner=job.task.owner)


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFound
    return job


def _as_seen_by(mine: Job, latest: Job) -> Job:
    """The newer of two views. A shared flight may have read the row before this poll did, and each poll
    shows its own count."""
    newer = latest if latest.task.version >= mine.task.version else mine
    if newer.task.poll_count == mine.task.poll_count:
        return newer
    return replace(newer, task=replace(newer.task, poll_count=mine.task.poll_count))
