"""What a purge may take out of the memory store's rows, and the taking."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TypeVar

from ttsorch.models import Effect, EffectState, Generation, Purged, Task, TaskKind, Voice
from ttsorch.store._memory_rows import Rows

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Doomed:
    """What can go, a page of each."""

    tasks: Sequence[Task]
    generations: Sequence[Generation]
    voices: Sequence[Voice]
    effects: Sequence[Effect]
    keys: Iterable[str | None]


def ended(rows: Rows, *, before: datetime, limit: int, audio: bool) -> Doomed:
    """What has been of no use since ``before``."""
    untold = _untold(rows)
    old = sorted(
        (task for task in rows.tasks.values() if _ended_by(task, before) and task.id not in untold),
        key=lambda task: (task.completed_at or before, task.id),
    )
    old = [task for task in old if task.next_action_at is None]
    speech = [task for task in old if task.kind is TaskKind.GENERATE][:limit]
    casting = [task for task in old if _casting_is_over(rows, task, audio)][:limit]
    previews = [task for task in casting if audio and task.kind is TaskKind.DESIGN_PREVIEW]
    generations = [
        generation
        for generation in rows.generations.values()
        if audio
        and _ended_by(generation, before)
        and generation.task_id not in untold
        and not _is_unsettled(rows.tasks.get(generation.task_id))
    ]
    generations.sort(key=lambda generation: (generation.completed_at or before, generation.id))
    return Doomed(
        tasks=[*speech, *casting],
        generations=generations[:limit],
        voices=[],
        effects=_first(
            limit, (e for e in rows.effects.values() if _is_told(e) and e.created_at <= before)
        ),
        keys=_keys_of(generations[:limit], previews),
    )


def owned(rows: Rows, owner: str, *, limit: int, abandon_owed: bool) -> Doomed:
    """What the owner has, but for what is under way or owes somebody something."""
    untold = () if abandon_owed else _untold(rows)
    tasks = _first(
        limit,
        (
            task
            for task in rows.tasks.values()
            if task.owner == owner
            and task.status.terminal
            and (abandon_owed or (task.next_action_at is None and task.id not in untold))
        ),
    )
    generations = _first(
        limit,
        (
            generation
            for generation in rows.generations.values()
            if generation.owner == owner and not _is_active(rows.tasks.get(generation.task_id))
        ),
    )
    voices = _first(limit, (voice for voice in rows.voices.values() if voice.owner == owner))
    effects = (
        effect
        for effect in rows.effects.values()
        if effect.owner == owner
        and (abandon_owed or _is_told(effect) or effect.task_id not in rows.tasks)
    )
    return Doomed(
        tasks=tasks,
        generations=generations,
        voices=voices,
        effects=_first(limit, effects),
        keys=[*_keys_of(generations, tasks), *(voice.reference_audio_key for voice in voices)],
    )


def owing(rows: Rows, owner: str) -> Sequence[Task]:
    """The owner's ended tasks that have to stay for now."""
    untold = _untold(rows)
    return [
        task
        for task in rows.tasks.values()
        if task.owner == owner
        and task.status.terminal
        and (task.next_action_at is not None or task.id in untold)
    ]


def active(rows: Rows, owner: str) -> Sequence[Task]:
    return [task for task in rows.tasks.values() if task.owner == owner and _is_active(task)]


def remove(rows: Rows, doomed: Doomed) -> None:
    for task in doomed.tasks:
        del rows.tasks[task.id]
        rows.failures.pop(task.id, None)
    for generation in doomed.generations:
        del rows.generations[generation.id]
    for voice in doomed.voices:
        del rows.voices[voice.id]
    for effect in doomed.effects:
        del rows.effects[effect.key]


def told(doomed: Doomed, *, limit: int, kept: int) -> Purged:
    sizes = {
        "tasks": len(doomed.tasks),
        "generations": len(doomed.generations),
        "voices": len(doomed.voices),
        "effects": len(doomed.effects),
    }
    return Purged(
        **sizes,
        keys=tuple(dict.fromkeys(key for key in doomed.keys if key is not None)),
        more=any(size >= limit for size in sizes.values()),
        kept=kept,
    )


def _untold(rows: Rows) -> Collection[str]:
    return {effect.task_id for effect in rows.effects.values() if not _is_told(effect)}


def _is_told(effect: Effect) -> bool:
    return effect.state is not EffectState.OWED


def _ended_by(row: Task | Generation, moment: datetime) -> bool:
    return row.completed_at is not None and row.completed_at <= moment


def _is_active(task: Task | None) -> bool:
    return task is not None and not task.status.terminal


def _is_unsettled(task: Task | None) -> bool:
    return task is not None and (not task.status.terminal or task.next_action_at is not None)


def _casting_is_over(rows: Rows, task: Task, audio: bool) -> bool:
    if task.kind is TaskKind.GENERATE:
        return False
    if task.kind is TaskKind.DESIGN_PREVIEW and (audio or task.audio is None):
        return True
    voice = rows.voices.get(task.voice.id)
    return voice is not None and voice.owner == task.owner


def _keys_of(generations: Iterable[Generation], tasks: Iterable[Task]) -> list[str | None]:
    keys = [generation.audio.key for generation in generations if generation.audio]
    return [*keys, *map(_key_of, tasks)]


def _key_of(task: Task) -> str | None:
    if task.kind is TaskKind.CLONE:
        return task.voice.reference_audio_key
    return task.audio.key if task.audio else None


def _first(limit: int, found: Iterable[Row]) -> list[Row]:
    return list(islice(found, limit))
