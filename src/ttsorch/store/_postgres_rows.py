"""Records to the values that PostgreSQL's statements take, and its rows back to records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ttsorch.models import Effect, Generation, Job, Purged, Task, Voice
from ttsorch.store._rows import (
    Column,
    Row,
    effect_to_row,
    generation_from_row,
    generation_to_row,
    task_from_row,
    task_to_row,
    voice_to_row,
)

#: How a generation's columns are told from its task's in one row.
_PREFIX = "g_"
_EFFECT_PREFIX = "e_"
_GENERATION_COLUMNS = tuple(field.name for field in fields(Generation))
_NO_GENERATION: Mapping[str, Column] = dict.fromkeys(
    [*_GENERATION_COLUMNS, "text_folded", "audio_key"]
)
_NO_EFFECT: Mapping[str, Column] = {_EFFECT_PREFIX + field.name: None for field in fields(Effect)}
_MICROSECONDS = 1_000_000
#: Beyond any moment, for a listing that begins at its beginning.
_LAST_MOMENT = 2**63 - 1


def duration(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)


def job_to_values(
    task: Task, generation: Generation | None, lease_seconds: float | None
) -> dict[str, Column]:
    """Both rows, with what the statements have to search by in columns of its own."""
    values = task_to_row(task) | {
        "audio_key": task.audio.key if task.audio else None,
        "clip_key": task.voice.reference_audio_key,
        "voice_made": task.voice.provider_voice_id is not None,
        "grants": 0 if lease_seconds is None else 1,
        "lease": None if lease_seconds is None else duration(lease_seconds),
    }
    for column, value in _generation_values(generation).items():
        values[_PREFIX + column] = value
    return values


def _generation_values(generation: Generation | None) -> Mapping[str, Column]:
    if generation is None:
        return _NO_GENERATION
    return generation_to_row(generation) | {
        "text_folded": generation.text.casefold(),
        "audio_key": generation.audio.key if generation.audio else None,
    }


def effect_to_values(effect: Effect | None) -> dict[str, Column]:
    if effect is None:
        return dict(_NO_EFFECT)
    return {_EFFECT_PREFIX + column: value for column, value in effect_to_row(effect).items()}


def voice_to_values(voice: Voice) -> dict[str, Column]:
    return voice_to_row(voice) | {"name_folded": voice.name.casefold()}


def as_stored(values: Mapping[str, Column], written: Row) -> Task:
    """The task that was written: what it was given as, and what the statement answered."""
    return task_from_row({**values, **written})


def job_from_row(row: Row) -> Job:
    return Job(task_from_row(row), found_generation(row))


def found_generation(row: Row) -> Generation | None:
    """The generation in a joined row, if there is one."""
    if row["g_id"] is None:
        return None
    return generation_from_row({column: row[_PREFIX + column] for column in _GENERATION_COLUMNS})


def in_step(job: Job) -> bool:
    """Whether both records show the same state. A statement that waited for a task's row gets it as it is
    now, but the generation's as it was when the statement began."""
    return job.generation is None or job.generation.status is job.task.status


def start_of(before: tuple[int, str] | None) -> Mapping[str, Column]:
    """Where a listing goes on."""
    moment, last = before or (_LAST_MOMENT, "")
    return {"before_created_at": moment, "before_id": last}


def page_values(page: int, per_page: int, search: str) -> dict[str, Any]:
    return {
        "search": search.casefold(),
        "limit": per_page,
        "offset": min((page - 1) * per_page, _LAST_MOMENT),
    }


def items_of(rows: Sequence[Row], key: str) -> Iterable[Row]:
    """The rows of a page without the one that only says the total."""
    return (row for row in rows if row[key] is not None)


def purged(row: Row, limit: int) -> Purged:
    sizes = {kind: row[kind] for kind in ("tasks", "generations", "voices", "effects")}
    more = any(size >= limit for size in sizes.values())
    return Purged(**sizes, keys=tuple(row["keys"]), more=more, kept=row["kept"])
