"""Tasks, generations and voices in this process's memory: for tests and demonstrations.

An operation is atomic because nothing in it awaits. Each begins with a checkpoint, so that operations
interleave as they do with a real database.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio.lowlevel

from ttsorch.errors import StorageUnavailable
from ttsorch.models import (
    NO_LIMITS,
    Clock,
    Effect,
    EffectState,
    Generation,
    Item,
    Job,
    Limits,
    Page,
    Pause,
    Purged,
    Status,
    StuckTask,
    Task,
    TaskKind,
    Voice,
    VoiceSource,
)
from ttsorch.states import deadline, lease_is_live
from ttsorch.store import _memory_purging as purging
from ttsorch.store._clock import utc_now
from ttsorch.store._limits import UNREADABLE, UNREADABLE_HOLD_SECONDS
from ttsorch.store._memory_create import busy, check_limits, earlier
from ttsorch.store._memory_due import due_in_turns, put_off
from ttsorch.store._memory_rows import Rows
from ttsorch.store._unreadable import unreadable

_NEVER = datetime.min.replace(tzinfo=UTC)


class MemoryTaskStore:
    """A :class:`~ttsorch.protocols.TaskStore` and :class:`~ttsorch.protocols.VoiceStore`.

    ``clock`` is the database's clock.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._rows = Rows()
        self._tasks = self._rows.tasks
        self._generations = self._rows.generations
        self._voices = self._rows.voices
        self._effects = self._rows.effects
        self._failures = self._rows.failures
        self._pauses = self._rows.pauses
        self._spoiled: set[str] = set()
        self._closed = False

    def now(self) -> datetime:
        return self._clock()

    async def aclose(self) -> None:
        self._closed = True

    def spoil(self, id: str) -> None:
        """Have the row with this id (an effect's key) be one that can't be read any more, as if a newer
        version had written it: for tests of what must not fail with it."""
        self._spoiled.add(id)

    # --- jobs -----------------------------------------------------------------------------------------

    async def create(
        self,
        task: Task,
        generation: Generation | None,
        *,
        lease_seconds: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Job:
        await self._turn()
        if (stored := earlier(self._rows, task)) is not None:
            return self._job(stored)
        now = self.now()
        if task.kind is not TaskKind.CLONE:
            check_limits(self._rows, task, limits, now)
        if not task.status.terminal and self._rows.pause_of(task, now) is not None:
            raise busy(self._rows, task, now)
        if task.id in self._tasks or (generation and generation.id in self._generations):
            raise StorageUnavailable(detail="the id is taken")
        if lease_seconds is not None:
            task = self._leased(task, task.fence, lease_seconds)
        return self._rows.store(task, generation)

    async def get(self, owner: str, task_id: str, *, include_deleted: bool = False) -> Job | None:
        await self._turn()
        find = self._rows.own if include_deleted else self._rows.visible
        task = find(owner, task_id)
        return None if task is None else self._job(task)

    async def find_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        await self._turn()
        for task in self._tasks.values():
            if (task.owner, task.idempotency_key) == (owner, idempotency_key):
                return self._job(task)
        return None

    async def record_poll(self, owner: str, task_id: str) -> Job | None:
        await self._turn()
        task = self._rows.visible(owner, task_id)
        if task is None:
            return None
        if not task.status.terminal:
            task = self._tasks[task_id] = replace(task, poll_count=task.poll_count + 1)
        return self._job(task)

    async def replace(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        await self._turn()
        stored = self._rows.at_version(task, expected_version)
        if stored is None:
            return False
        self._rows.update(stored, task, generation)
        if effect is not None:
            self._effects.setdefault(effect.key, effect)
        return True

    async def claim(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        lease_seconds: float,
        sends: bool = False,
    ) -> Task | None:
        await self._turn()
        stored = self._rows.at_version(task, expected_version)
        if stored is None or lease_is_live(stored, self.now()):
            return None
        if sends and self._rows.pause_of(stored, self.now()) is not None:
            return None
        leased = self._leased(task, stored.fence, lease_seconds)
        return self._rows.update(replace(stored, fence=leased.fence), leased, generation)

    async def renew(self, task_id: str, *, fence: int, lease_seconds: float) -> bool:
        await self._turn()
        task = self._tasks.get(task_id)
        if task is None or task.fence != fence or task.lease_until is None:
            return False
        until = self._in(lease_seconds)
        self._tasks[task_id] = replace(task, lease_until=until, next_action_at=until)
        return True

    async def claim_due(self, *, limit: int, hold_seconds: float) -> Sequence[Job]:
        await self._turn()
        now = self.now()
        until = now + timedelta(seconds=hold_seconds)
        jobs: list[Job] = []
        for task in due_in_turns(self._rows, now):
            if len(jobs) == limit:
                break
            if (later := put_off(self._rows, task, now)) is not None:
                self._tasks[task.id] = replace(task, next_action_at=later)
                continue
            held = self._tasks[task.id] = replace(task, next_action_at=until)
            if self._reads(held):
                jobs.append(self._job(held))
            else:
                self._set_aside(held, UNREADABLE, hold_seconds, UNREADABLE_HOLD_SECONDS)
        return jobs

    async def list_tasks(
        self,
        owner: str,
        *,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        await self._turn()
        tasks = [
            task
            for task in self._tasks.values()
            if task.owner == owner
            and self._reads(task)
            and task.deleted_at is None
            and (active is None or active is not task.status.terminal)
            and (kind is None or kind is task.kind)
            and (before is None or (task.created_at, task.id) < before)
        ]
        tasks.sort(key=lambda task: (task.created_at, task.id), reverse=True)
        return [self._job(task) for task in tasks[:limit]]

    async def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        await self._turn()
        now = self.now()
        tasks = [
            task
            for task in self._tasks.values()
            if task.outcome_open and self._reads(task) and not lease_is_live(task, now)
        ]
        tasks.sort(key=lambda task: (task.created_at, task.id))
        return [self._job(task) for task in tasks[:limit]]

    async def delete_task(self, owner: str, task_id: str) -> bool:
        await self._turn()
        task = self._rows.visible(owner, task_id)
        if task is None:
            return False
        self._tasks[task_id] = replace(task, deleted_at=self.now())
        return True

    # --- effects --------------------------------------------------------------------------------------

    async def claim_effects(self, *, limit: int, hold_seconds: float) -> Sequence[Effect]:
        await self._turn()
        now = self.now()
        due = [(e.due_at, e.key) for e in self._effects.values() if e.due_at and e.due_at <= now]
        until = now + timedelta(seconds=hold_seconds)
        claimed: list[Effect] = []
        for _, key in sorted(due):
            if key in self._spoiled:
                later = now + timedelta(seconds=UNREADABLE_HOLD_SECONDS)
                self._effects[key] = replace(self._effects[key], due_at=later)
            elif len(claimed) < limit:
                held = self._effects[key] = replace(self._effects[key], due_at=until)
                claimed.append(held)
        return claimed

    async def write_effect(self, effect: Effect) -> bool:
        await self._turn()
        stored = self._effects.get(effect.key)
        if stored is None or stored.attempts != effect.attempts - 1:
            return False
        self._effects[effect.key] = effect
        return True

    async def list_effects(self, state: EffectState, *, limit: int = 100) -> Sequence[Effect]:
        await self._turn()
        readable = (effect for effect in self._effects.values() if effect.key not in self._spoiled)
        found = [effect for effect in readable if effect.state is state]
        return sorted(found, key=lambda effect: (effect.created_at, effect.key))[:limit]

    # --- pauses and trouble ---------------------------------------------------------------------------

    async def pause_provider(
        self, provider: str, *, seconds: float, reason: str
    ) -> datetime | None:
        await self._turn()
        stored, until = self._pauses.get(provider), self._in(seconds)
        if stored is not None and stored.until >= until:
            return None
        self._pauses[provider] = Pause(provider, until, reason)
        return until

    async def end_pause(self, provider: str) -> bool:
        await self._turn()
        pause = self._pauses.pop(provider, None)
        return pause is not None and pause.until > self.now()

    async def list_pauses(self) -> Sequence[Pause]:
        await self._turn()
        now = self.now()
        return [
            self._pauses[name] for name in sorted(self._pauses) if self._pauses[name].until > now
        ]

    async def put_aside(
        self,
        task_id: str,
        *,
        expected_version: int,
        reason: str,
        hold_seconds: float,
        most_seconds: float,
    ) -> bool:
        await self._turn()
        task = self._tasks.get(task_id)
        if task is None or task.version != expected_version or task.next_action_at is None:
            return False
        self._set_aside(task, reason, hold_seconds, most_seconds)
        return True

    def _set_aside(self, task: Task, reason: str, hold: float, most: float) -> None:
        failures, _ = self._failures.get(task.id, (0, ""))
        self._failures[task.id] = failures + 1, reason
        later = self._in(min(hold * 2 ** min(failures, 16), most))
        last = deadline(task)
        if last is not None and last > self.now():
            later = min(later, last)
        self._tasks[task.id] = replace(task, next_action_at=later)

    async def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        await self._turn()
        worst_first = sorted(self._failures, key=lambda id: (-self._failures[id][0], id))
        return [self._rows.stuck(self._tasks[id]) for id in worst_first[:limit]]

    # --- generations ----------------------------------------------------------------------------------

    async def get_generation(self, owner: str, generation_id: str) -> Generation | None:
        await self._turn()
        found = self._rows.own_generation(owner, generation_id)
        if found is not None and found.id in self._spoiled:
            raise unreadable("generation", found.id)
        return found

    async def list_generations(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: tuple[Status, ...] = (),
    ) -> Page[Generation]:
        await self._turn()
        found = [
            generation
            for generation in self._generations.values()
            if generation.owner == owner
            and (not status or generation.status in status)
            and search.casefold() in generation.text.casefold()
        ]
        found.sort(key=lambda generation: (generation.created_at, generation.id), reverse=True)
        shown = _page(found, page, per_page)
        return replace(shown, items=tuple(g for g in shown.items if g.id not in self._spoiled))

    async def delete_generation(self, owner: str, generation_id: str) -> bool:
        await self._turn()
        if self._rows.own_generation(owner, generation_id) is None:
            return False
        del self._generations[generation_id]
        return True

    async def unreferenced(self, keys: Sequence[str]) -> Sequence[str]:
        await self._turn()
        referenced = self._rows.named_keys()
        return [key for key in keys if key not in referenced]

    # --- purges ---------------------------------------------------------------------------------------

    async def purge_ended(
        self, *, older_than: float, limit: int, audio: bool = False, dry_run: bool = False
    ) -> Purged:
        await self._turn()
        before = self._in(-older_than)
        doomed = purging.ended(self._rows, before=before, limit=limit, audio=audio)
        if not dry_run:
            purging.remove(self._rows, doomed)
        return purging.told(doomed, limit=limit, kept=0)

    async def purge_owned(
        self, owner: str, *, limit: int, abandon_owed: bool = False, dry_run: bool = False
    ) -> Purged:
        await self._turn()
        doomed = purging.owned(self._rows, owner, limit=limit, abandon_owed=abandon_owed)
        owing = [] if abandon_owed else purging.owing(self._rows, owner)
        kept = len(owing) + len(purging.active(self._rows, owner))
        for task in () if dry_run else owing:
            self._tasks[task.id] = replace(task, deleted_at=task.deleted_at or self.now())
        if not dry_run:
            purging.remove(self._rows, doomed)
        return purging.told(doomed, limit=limit, kept=kept)

    async def list_unsettled(
        self, owner: str, *, after: str = "", limit: int = 20
    ) -> Sequence[Job]:
        await self._turn()
        tasks = [
            task
            for task in self._tasks.values()
            if task.owner == owner
            and self._reads(task)
            and task.next_action_at is not None
            and task.id > after
        ]
        tasks.sort(key=lambda task: task.id)
        return [self._job(task) for task in tasks[:limit]]

    # --- voices ---------------------------------------------------------------------------------------

    async def add_voice(self, voice: Voice, *, of_task: str | None = None) -> bool:
        await self._turn()
        if voice.id in self._voices:
            return False
        if of_task is not None and self._rows.own(voice.owner or "", of_task) is None:
            return False
        self._voices[voice.id] = voice
        return True

    async def get_voice(
        self, owner: str, voice_id: str, *, include_deleted: bool = False
    ) -> Voice | None:
        await self._turn()
        voice = self._rows.own_voice(owner, voice_id)
        if voice is not None and voice.id in self._spoiled:
            raise unreadable("voice", voice.id)
        return voice if voice and (include_deleted or voice.deleted_at is None) else None

    async def list_voices(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        source: VoiceSource | None = None,
    ) -> Page[Voice]:
        await self._turn()
        found = [
            voice
            for voice in self._voices.values()
            if voice.owner == owner
            and voice.deleted_at is None
            and (source is None or source is voice.source)
            and search.casefold() in voice.name.casefold()
        ]
        found.sort(key=_voice_order, reverse=True)
        shown = _page(found, page, per_page)
        return replace(shown, items=tuple(v for v in shown.items if v.id not in self._spoiled))

    async def delete_voice(self, owner: str, voice_id: str) -> bool:
        await self._turn()
        voice = self._rows.own_voice(owner, voice_id)
        if voice is None:
            return False
        self._voices[voice_id] = replace(voice, deleted_at=voice.deleted_at or self.now())
        return True

    # --- rows -----------------------------------------------------------------------------------------

    async def _turn(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise StorageUnavailable("The task store is closed.", code="store_closed")

    def _in(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    def _job(self, task: Task) -> Job:
        if not self._reads(task):
            raise unreadable("task", task.id)
        return self._rows.job(task)

    def _reads(self, task: Task) -> bool:
        return self._spoiled.isdisjoint((task.id, task.generation_id or ""))

    def _leased(self, task: Task, last_fence: int, lease_seconds: float) -> Task:
        until = self._in(lease_seconds)
        return replace(task, fence=last_fence + 1, lease_until=until, next_action_at=until)


def _voice_order(voice: Voice) -> tuple[bool, datetime, str]:
    return voice.created_at is not None, voice.created_at or _NEVER, voice.id


def _page(found: Sequence[Item], page: int, per_page: int) -> Page[Item]:
    start = (page - 1) * per_page
    return Page(tuple(found[start : start + per_page]), page, per_page, len(found))
