"""Tasks, generations and voices in this process's memory: for tests and demonstrations.

An operation is atomic because nothing in it awaits. Each begins with a checkpoint, so that operations
interleave as they do with a real database.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio.lowlevel

from ttsorch.errors import ActiveJobLimit, ProviderBusy, StorageUnavailable, SubmitRateLimit
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
    Phase,
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
from ttsorch.store._limits import (
    LIMIT_WINDOW,
    PAUSE_SPREAD_SECONDS,
    UNREADABLE,
    UNREADABLE_HOLD_SECONDS,
)
from ttsorch.store._rows import task_from_row, task_to_row
from ttsorch.store._unreadable import unreadable

_NEVER = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


class MemoryTaskStore:
    """A :class:`~ttsorch.protocols.TaskStore` and :class:`~ttsorch.protocols.VoiceStore`.

    ``clock`` is the database's clock.
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._rows = purging.Rows()
        self._tasks = self._rows.tasks
        self._generations = self._rows.generations
        self._voices = self._rows.voices
        self._effects = self._rows.effects
        self._failures = self._rows.failures
        self._pauses: dict[str, Pause] = {}
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
        earlier = self._earlier(task)
        if earlier is not None:
            return self._job(earlier)
        if task.kind is not TaskKind.CLONE:
            self._check_limits(task, limits)
        if not task.status.terminal and self._pause(task) is not None:
            raise self._busy(task)
        if task.id in self._tasks or (generation and generation.id in self._generations):
            raise StorageUnavailable(detail="the id is taken")
        if lease_seconds is not None:
            task = self._leased(task, task.fence, lease_seconds)
        return self._store(task, generation)

    async def get(self, owner: str, task_id: str, *, include_deleted: bool = False) -> Job | None:
        await self._turn()
        task = self._own(owner, task_id) if include_deleted else self._visible(owner, task_id)
        return None if task is None else self._job(task)

    async def find_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        await self._turn()
        for task in self._tasks.values():
            if (task.owner, task.idempotency_key) == (owner, idempotency_key):
                return self._job(task)
        return None

    async def record_poll(self, owner: str, task_id: str) -> Job | None:
        await self._turn()
        task = self._visible(owner, task_id)
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
        stored = self._at_version(task, expected_version)
        if stored is None:
            return False
        self._update(stored, task, generation)
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
        stored = self._at_version(task, expected_version)
        if stored is None or lease_is_live(stored, self.now()):
            return None
        if sends and self._pause(stored) is not None:
            return None
        leased = self._leased(task, stored.fence, lease_seconds)
        return self._update(replace(stored, fence=leased.fence), leased, generation)

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
        for task in self._due_in_turns(now):
            if len(jobs) == limit:
                break
            if (later := self._put_off(task, now)) is not None:
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
        task = self._visible(owner, task_id)
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
        return [self._stuck(self._tasks[id]) for id in worst_first[:limit]]

    # --- generations ----------------------------------------------------------------------------------

    async def get_generation(self, owner: str, generation_id: str) -> Generation | None:
        await self._turn()
        found = self._own_generation(owner, generation_id)
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
        if self._own_generation(owner, generation_id) is None:
            return False
        del self._generations[generation_id]
        return True

    async def unreferenced(self, keys: Sequence[str]) -> Sequence[str]:
        await self._turn()
        holders: Iterable[Generation | Task] = (
            *self._generations.values(),
            *(task for task in self._tasks.values() if task.generation_id is None),
        )
        referenced: set[str | None] = {holder.audio.key for holder in holders if holder.audio}
        referenced |= {voice.reference_audio_key for voice in self._voices.values()}
        referenced |= {
            task.voice.reference_audio_key
            for task in self._tasks.values()
            if task.kind is TaskKind.CLONE
            and (not task.status.terminal or task.voice.provider_voice_id is not None)
        }
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
        if of_task is not None and self._own(voice.owner or "", of_task) is None:
            return False
        self._voices[voice.id] = voice
        return True

    async def get_voice(
        self, owner: str, voice_id: str, *, include_deleted: bool = False
    ) -> Voice | None:
        await self._turn()
        voice = self._own_voice(owner, voice_id)
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
        voice = self._own_voice(owner, voice_id)
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
        return Job(task, self._generations.get(task.generation_id or ""))

    def _reads(self, task: Task) -> bool:
        return self._spoiled.isdisjoint((task.id, task.generation_id or ""))

    def _own(self, owner: str, task_id: str) -> Task | None:
        task = self._tasks.get(task_id)
        return task if task and task.owner == owner else None

    def _visible(self, owner: str, task_id: str) -> Task | None:
        task = self._own(owner, task_id)
        return task if task and task.deleted_at is None else None

    def _own_generation(self, owner: str, generation_id: str) -> Generation | None:
        generation = self._generations.get(generation_id)
        return generation if generation and generation.owner == owner else None

    def _own_voice(self, owner: str, voice_id: str) -> Voice | None:
        voice = self._voices.get(voice_id)
        return voice if voice and voice.owner == owner else None

    def _at_version(self, task: Task, version: int) -> Task | None:
        stored = self._tasks.get(task.id)
        return (
            stored if stored and (stored.owner, stored.version) == (task.owner, version) else None
        )

    def _earlier(self, task: Task) -> Task | None:
        stored = self._tasks.get(task.id)
        if stored and stored.owner == task.owner:
            return stored
        if task.idempotency_key is None:
            return None
        wanted = (task.owner, task.idempotency_key)
        same = (t for t in self._tasks.values() if (t.owner, t.idempotency_key) == wanted)
        return next(same, None)

    def _due_in_turns(self, now: datetime) -> list[Task]:
        turns: Counter[str] = Counter()
        in_order = []
        for task in sorted(self._tasks.values(), key=_urgency):
            if task.next_action_at is not None and task.next_action_at <= now:
                turns[task.owner] += 1
                in_order.append((turns[task.owner], task))
        return [task for _, task in sorted(in_order, key=lambda pair: pair[0])]

    def _pause(self, task: Task) -> Pause | None:
        """The one that is on for the task's provider."""
        pause = self._pauses.get(task.provider)
        return pause if pause and pause.until > self.now() else None

    def _busy(self, task: Task) -> ProviderBusy:
        pause = self._pause(task)
        left = (pause.until - self.now()).total_seconds() if pause else None
        return ProviderBusy(retry_after=left)

    def _put_off(self, task: Task, now: datetime) -> datetime | None:
        """When a due task is looked at again that must not be sent now."""
        pause, last = self._pause(task), min(task.accept_by, task.finish_by)
        if task.phase is not Phase.QUEUED or pause is None or last <= now:
            return None
        share = zlib.crc32(task.id.encode()) / 2**32
        spread = timedelta(seconds=share * PAUSE_SPREAD_SECONDS)
        return min(pause.until + spread, last)

    def _stuck(self, task: Task) -> StuckTask:
        failures, reason = self._failures[task.id]
        return StuckTask(
            id=task.id,
            owner=task.owner,
            provider=task.provider,
            kind=task.kind.value,
            phase=task.phase.value,
            failures=failures,
            reason=reason,
            next_action_at=task.next_action_at,
        )

    def _takes_a_slot(self, task: Task) -> bool:
        _, failure = self._failures.get(task.id, (0, ""))
        return not task.status.terminal and failure != UNREADABLE

    def _check_limits(self, task: Task, limits: Limits) -> None:
        counted = [each for each in self._tasks.values() if each.kind is not TaskKind.CLONE]
        active = [each for each in counted if self._takes_a_slot(each)]
        most = limits.active_per_owner
        if most is not None and sum(each.owner == task.owner for each in active) >= most:
            raise ActiveJobLimit
        most, now = limits.submits_per_minute, self.now()
        begun = sorted(each.created_at for each in counted if each.owner == task.owner)
        recent = [moment for moment in begun if moment > now - LIMIT_WINDOW]
        if most is not None and len(recent) >= most:
            raise SubmitRateLimit(retry_after=(recent[-most] + LIMIT_WINDOW - now).total_seconds())
        most = limits.in_flight_per_provider
        if most is not None and sum(each.provider == task.provider for each in active) >= most:
            raise self._busy(task)

    def _leased(self, task: Task, last_fence: int, lease_seconds: float) -> Task:
        until = self._in(lease_seconds)
        return replace(task, fence=last_fence + 1, lease_until=until, next_action_at=until)

    def _update(self, stored: Task, task: Task, generation: Generation | None) -> Task:
        """Write over what ``stored`` holds, but for the fields that are the store's own."""
        kept = replace(
            task,
            poll_count=stored.poll_count,
            fence=stored.fence,
            deleted_at=stored.deleted_at,
        )
        if generation is not None and not self._own_generation(stored.owner, generation.id):
            generation = None
        self._failures.pop(task.id, None)
        return self._store(kept, generation).task

    def _store(self, task: Task, generation: Generation | None) -> Job:
        # Through a row and back, so that a caller's later change to a mapping of its own stays its own.
        task = self._tasks[task.id] = task_from_row(task_to_row(task))
        if generation is not None:
            self._generations[generation.id] = generation
        return Job(task, generation)


def _voice_order(voice: Voice) -> tuple[bool, datetime, str]:
    return voice.created_at is not None, voice.created_at or _NEVER, voice.id


def _page(found: Sequence[Item], page: int, per_page: int) -> Page[Item]:
    start = (page - 1) * per_page
    return Page(tuple(found[start : start + per_page]), page, per_page, len(found))


def _urgency(task: Task) -> tuple[datetime, datetime, str]:
    return task.result_expires_at or _LAST, task.next_action_at or _LAST, task.id
