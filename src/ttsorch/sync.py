"""The orchestrator for code that doesn't await: Flask, Django, scripts.

No logic of its own: one event loop in one thread runs the real :class:`~ttsorch.orchestrator.Orchestrator`,
and every verb here is that verb, waited for. Any number of threads may call at once.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import TypeVar

from anyio.abc import TaskStatus

from ttsorch._sync_thread import Backend, LoopThread, Running, Service, not_running
from ttsorch.errors import InternalError
from ttsorch.models import (
    Effect,
    EffectState,
    Generation,
    Job,
    JsonValue,
    Page,
    Pause,
    PurgeReport,
    SpeechRequest,
    Status,
    StuckTask,
    SweepReport,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.orchestrator import Orchestrator

__all__ = ["SyncOrchestrator"]

T = TypeVar("T")


class SyncOrchestrator:
    """The verbs of :class:`~ttsorch.orchestrator.Orchestrator`, blocking; the same arguments, results and
    errors.

    ``open`` is called on the loop's thread, since databases have to be opened by the loop that uses them::

        SyncOrchestrator(lambda: open_orchestrator(config))
        SyncOrchestrator(lambda: Orchestrator(provider=provider, tasks=tasks, blobs=blobs))

    A context manager; or :meth:`start` and :meth:`close`. It can be started again after it was closed. A
    server that forks starts one in each worker, after the fork.

    Args:
        open: what to run; whatever it opens, it closes on leaving.
        backend: the event loop.
    """

    def __init__(
        self,
        open: Callable[[], AbstractAsyncContextManager[Orchestrator]],
        *,
        backend: Backend = "asyncio",
    ) -> None:
        self._open = open
        self._backend = backend
        self._running: Running | None = None
        self._lifecycle = Lock()

    # --- lifecycle ------------------------------------------------------------------------------------

    def __enter__(self) -> "SyncOrchestrator":
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop(in_haste=exc is not None)

    def start(self) -> None:
        """Start the loop's thread and open what there is to open.

        Raises:
            InternalError: code ``already_running``.
            TtsorchError: what ``open`` raised; nothing is left running then.
        """
        with self._lifecycle:
            if self._running is not None:
                raise InternalError("The orchestrator is already running.", code="already_running")
            with ExitStack() as thread:
                portal = thread.enter_context(LoopThread(self._backend))
                serving, (orchestrator, service) = portal.start_task(self._serve)
                self._running = Running(
                    orchestrator, service, portal, serving, thread.pop_all(), os.getpid()
                )

    def close(self) -> None:
        """End what runs as the orchestrator itself does, and the thread. Harmless when repeated.

        Calls that other threads are waiting in raise ``not_running``; what they began goes on like after
        any cancelled call.
        """
        self._stop(in_haste=False)

    def _stop(self, *, in_haste: bool) -> None:
        with self._lifecycle:
            running, self._running = self._running, None
        if running is None or running.process != os.getpid():
            return  # the thread of another process isn't ours to end
        with running.thread:
            # An exception is not thrown into the loop: KeyboardInterrupt would tear it down half way.
            if in_haste:
                running.serving.cancel()
            else:
                running.portal.call(running.service.close)
                running.serving.result()

    async def _serve(self, *, task_status: TaskStatus[tuple[Orchestrator, Service]]) -> None:
        async with self._open() as orchestrator:
            service = Service(orchestrator)
            task_status.started((orchestrator, service))
            await service.until_closed()

    # --- calling --------------------------------------------------------------------------------------

    def run(self, call: Callable[[Orchestrator], Awaitable[T]]) -> T:
        """Await anything on the orchestrator's loop. An interrupted wait (Ctrl-C) cancels it.

        Raises:
            InternalError: code ``not_running``: not started, closed meanwhile, or started before a fork.
        """
        future = self.begin(call)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, call: Callable[[Orchestrator], Awaitable[T]]) -> "Future[T]":
        """Like :meth:`run`, for a caller that has something else to do meanwhile. Cancelling the future
        cancels the call; a call that is cut off by :meth:`close` fails with ``not_running``.

        Raises:
            InternalError: code ``not_running``, as :meth:`run`.
        """
        running = self._get_running()
        try:
            return running.portal.start_task_soon(running.service.attend, call)
        except RuntimeError:
            self._get_running()  # closed meanwhile?
            raise

    def _get_running(self) -> Running:
        running = self._running
        if running is None:
            raise not_running("use it as `with SyncOrchestrator(...)`, or call start() first")
        if running.process != os.getpid():
            raise not_running("it was started before this process was forked")
        return running

    # --- the verbs ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """See :meth:`.Orchestrator.now`."""
        return self._get_running().orchestrator.now()

    def submit(
        self, request: SpeechRequest, *, owner: str, idempotency_key: str | None = None
    ) -> Job:
        """See :meth:`.Orchestrator.submit`."""
        return self.run(lambda o: o.submit(request, owner=owner, idempotency_key=idempotency_key))

    def find_submitted(
        self,
        idempotency_key: str,
        *,
        text: str,
        voice_id: str,
        owner: str,
        language: str = "Auto",
        options: Mapping[str, JsonValue] | None = None,
    ) -> Job | None:
        """See :meth:`.Orchestrator.find_submitted`."""
        return self.run(
            lambda o: o.find_submitted(
                idempotency_key,
                text=text,
                voice_id=voice_id,
                owner=owner,
                language=language,
                options=options,
            )
        )

    def poll_once(self, task_id: str, *, owner: str) -> Job:
        """See :meth:`.Orchestrator.poll_once`."""
        return self.run(lambda o: o.poll_once(task_id, owner=owner))

    def step(self, task_id: str, *, owner: str) -> Job:
        """See :meth:`.Orchestrator.step`."""
        return self.run(lambda o: o.step(task_id, owner=owner))

    def finalize(self, task_id: str, *, owner: str) -> Job:
        """See :meth:`.Orchestrator.finalize`."""
        return self.run(lambda o: o.finalize(task_id, owner=owner))

    def cancel(self, task_id: str, *, owner: str) -> Job:
        """See :meth:`.Orchestrator.cancel`."""
        return self.run(lambda o: o.cancel(task_id, owner=owner))

    def get(self, task_id: str, *, owner: str) -> Job:
        """See :meth:`.Orchestrator.get`."""
        return self.run(lambda o: o.get(task_id, owner=owner))

    def delete_task(self, task_id: str, *, owner: str) -> None:
        """See :meth:`.Orchestrator.delete_task`."""
        return self.run(lambda o: o.delete_task(task_id, owner=owner))

    def list_tasks(
        self,
        *,
        owner: str,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        """See :meth:`.Orchestrator.list_tasks`."""
        return self.run(
            lambda o: o.list_tasks(
                owner=owner, active=active, kind=kind, before=before, limit=limit
            )
        )

    def list_effects(
        self, state: EffectState = EffectState.GAVE_UP, *, limit: int = 100
    ) -> Sequence[Effect]:
        """See :meth:`.Orchestrator.list_effects`."""
        return self.run(lambda o: o.list_effects(state, limit=limit))

    def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        """See :meth:`.Orchestrator.list_unknown`."""
        return self.run(lambda o: o.list_unknown(limit=limit))

    def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        """See :meth:`.Orchestrator.list_stuck`."""
        return self.run(lambda o: o.list_stuck(limit=limit))

    def list_pauses(self) -> Sequence[Pause]:
        """See :meth:`.Orchestrator.list_pauses`."""
        return self.run(lambda o: o.list_pauses())

    def pause_provider(self, provider: str, *, seconds: float) -> None:
        """See :meth:`.Orchestrator.pause_provider`."""
        return self.run(lambda o: o.pause_provider(provider, seconds=seconds))

    def end_pause(self, provider: str) -> bool:
        """See :meth:`.Orchestrator.end_pause`."""
        return self.run(lambda o: o.end_pause(provider))

    def history(
        self,
        *,
        owner: str,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: Status | None = None,
    ) -> Page[Generation]:
        """See :meth:`.Orchestrator.history`."""
        return self.run(
            lambda o: o.history(
                owner=owner, page=page, per_page=per_page, search=search, status=status
            )
        )

    def get_generation(self, generation_id: str, *, owner: str) -> Generation:
        """See :meth:`.Orchestrator.get_generation`."""
        return self.run(lambda o: o.get_generation(generation_id, owner=owner))

    def delete_generation(self, generation_id: str, *, owner: str) -> None:
        """See :meth:`.Orchestrator.delete_generation`."""
        return self.run(lambda o: o.delete_generation(generation_id, owner=owner))

    def builtin_voices(self) -> Sequence[Voice]:
        """See :meth:`.Orchestrator.builtin_voices`."""
        return self.run(lambda o: o.builtin_voices())

    def find_voice(self, voice_id: str, *, owner: str) -> Voice:
        """See :meth:`.Orchestrator.find_voice`."""
        return self.run(lambda o: o.find_voice(voice_id, owner=owner))

    def upload_clip(
        self, voice_id: str, audio: bytes | AsyncIterator[bytes], *, owner: str
    ) -> None:
        """See :meth:`.Orchestrator.upload_clip`."""
        return self.run(lambda o: o.upload_clip(voice_id, audio, owner=owner))

    def clip_key(self, voice_id: str, *, owner: str) -> str:
        """See :meth:`.Orchestrator.clip_key`."""
        return self._get_running().orchestrator.clip_key(voice_id, owner=owner)

    def receive_clip(self, clip_key: str, audio: bytes | AsyncIterator[bytes]) -> None:
        """See :meth:`.Orchestrator.receive_clip`."""
        return self.run(lambda o: o.receive_clip(clip_key, audio))

    def clone_voice(
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
        """See :meth:`.Orchestrator.clone_voice`."""
        return self.run(
            lambda o: o.clone_voice(
                voice_id,
                name=name,
                owner=owner,
                language=language,
                transcript=transcript,
                source=source,
                description=description,
            )
        )

    def preview_design(
        self,
        *,
        text: str,
        description: str,
        owner: str,
        name: str | None = None,
        language: str = "Auto",
        idempotency_key: str | None = None,
    ) -> Job:
        """See :meth:`.Orchestrator.preview_design`."""
        return self.run(
            lambda o: o.preview_design(
                text=text,
                description=description,
                owner=owner,
                name=name,
                language=language,
                idempotency_key=idempotency_key,
            )
        )

    def save_design(self, task_id: str, *, owner: str, name: str | None = None) -> Voice:
        """See :meth:`.Orchestrator.save_design`."""
        return self.run(lambda o: o.save_design(task_id, owner=owner, name=name))

    def adopt_design(
        self, audio: bytes, *, name: str, text: str, language: str, description: str, owner: str
    ) -> Voice:
        """See :meth:`.Orchestrator.adopt_design`."""
        return self.run(
            lambda o: o.adopt_design(
                audio,
                name=name,
                text=text,
                language=language,
                description=description,
                owner=owner,
            )
        )

    def delete_voice(self, voice_id: str, *, owner: str) -> None:
        """See :meth:`.Orchestrator.delete_voice`."""
        return self.run(lambda o: o.delete_voice(voice_id, owner=owner))

    def sweep_once(self) -> SweepReport:
        """See :meth:`.Orchestrator.sweep_once`."""
        return self.run(lambda o: o.sweep_once())

    def collect_orphans(self, *, dry_run: bool = True) -> Sequence[str]:
        """See :meth:`.Orchestrator.collect_orphans`."""
        return self.run(lambda o: o.collect_orphans(dry_run=dry_run))

    def purge(
        self,
        *,
        older_than: float,
        limit: int = 500,
        audio: bool = False,
        dry_run: bool = False,
    ) -> PurgeReport:
        """See :meth:`.Orchestrator.purge`."""
        return self.run(
            lambda o: o.purge(older_than=older_than, limit=limit, audio=audio, dry_run=dry_run)
        )

    def purge_owner(
        self, owner: str, *, limit: int = 500, abandon_owed: bool = False, dry_run: bool = False
    ) -> PurgeReport:
        """See :meth:`.Orchestrator.purge_owner`."""
        return self.run(
            lambda o: o.purge_owner(owner, limit=limit, abandon_owed=abandon_owed, dry_run=dry_run)
        )
