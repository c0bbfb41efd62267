"""Brings voices, history and audio of an older v1 backend into ttsorch; ``docs/migrating.md`` is its manual.

    python -m examples.migrate_v1 EXPORT [--dry-run] [--take-over]

``EXPORT`` holds ``voices.jsonl``, ``generations.jsonl``, ``tasks.jsonl`` if there is one, and the bucket's
files in ``objects/``. Where they go, ``TTSORCH_DATABASE_URL`` and ``TTSORCH_BLOB_URL`` say. Repeatable: what
is there already is left as it is. Exit status 1 when a row was refused.
"""

import argparse
import os
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio

from examples.v1_export import (
    Export,
    Refused,
    Row,
    failure_in,
    id_in,
    owner_in,
    required,
    text_in,
    time_in,
    voice_in,
)
from ttsorch import states
from ttsorch.capabilities import count_characters
from ttsorch.config import Config
from ttsorch.errors import Category, TtsorchError, ValidationError
from ttsorch.importing import imported_clip_key, imported_speech, keep_imported
from ttsorch.models import (
    ErrorInfo,
    Generation,
    Phase,
    Policy,
    StoredAudio,
    Task,
    Voice,
)
from ttsorch.protocols import BlobStore, TaskStore, VoiceStore
from ttsorch.storage import open_blob_store
from ttsorch.store import open_task_store

#: What becomes of a row that isn't refused.
IMPORTED, PRESENT, ACTIVE, LEFT = "imported", "already there", "still active", "left behind"

_ACTIVE = ("pending", "processing")
_ENDED = {each.value: each for each in (Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED)}
_CANCELLED = ErrorInfo(Category.CANCELLED, "cancelled", "Cancelled by user")


@dataclass(frozen=True)
class Target:
    """Where it goes. ``take_over``: active Modal jobs are followed from here on."""

    tasks: TaskStore
    voices: VoiceStore
    blobs: BlobStore
    dry_run: bool = False
    take_over: bool = False


@dataclass
class Report:
    """How many rows of each table had which fate, and why some were refused."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)

    async def note(self, table: str, row: Row, work: Callable[[Row], Awaitable[str]]) -> None:
        try:
            self.counts[table, await work(row)] += 1
        except (Refused, ValidationError) as error:
            self.counts[table, "refused"] += 1
            self.refusals.append(f"{table} {row.get('id', '(no id)')}: {error}")


async def migrate(export: Export, target: Target) -> Report:
    """Import everything that can be.

    Raises:
        TtsorchError: a store can't answer; run it again, it goes on where it stopped.
    """
    report = Report()
    for row in export.rows("voices"):
        await report.note("voices", row, partial(_voice, export, target))
    voices = {str(row.get("id")).lower(): row for row in export.rows("voices")}
    tasks = {
        str(row["generation_id"]).lower(): row
        for row in export.rows("tasks")
        if row.get("generation_id")
    }
    for row in export.rows("generations"):
        await report.note("generations", row, partial(_generation, export, target, voices, tasks))
    # Previews of designs, and tasks whose generation their user deleted.
    if left := sum(not row.get("generation_id") for row in export.rows("tasks")):
        report.counts["tasks", LEFT] = left
    return report


# --- voices -------------------------------------------------------------------------------------------


async def _voice(export: Export, target: Target, row: Row) -> str:
    voice = voice_in(row)
    if await target.voices.get_voice(owner_in(row), voice.id):
        return PRESENT
    object_key = text_in(row, "reference_object_key")
    if object_key:
        clip = await export.read(object_key, owner=owner_in(row))
        key = imported_clip_key(clip, owner=owner_in(row), voice_id=voice.id)
        voice = replace(voice, reference_audio_key=key)
        if not target.dry_run:
            await keep_imported(target.blobs, key, clip)
    if target.dry_run:
        return IMPORTED
    # False also for one that was deleted, here or there: it stays deleted.
    return IMPORTED if await target.voices.add_voice(voice) else PRESENT


# --- generations and their tasks ----------------------------------------------------------------------


async def _generation(
    export: Export, target: Target, voices: Mapping[str, Row], tasks: Mapping[str, Row], row: Row
) -> str:
    id, owner = id_in(row, "id"), owner_in(row)
    # The key also finds what was imported once and deleted since: that stays deleted.
    if await target.tasks.find_by_key(owner, _import_key(id)):
        return PRESENT
    old_task = tasks.get(id, {})
    if old_task.get("user_id") != row.get("user_id"):
        old_task = {}
    generation, task = _records(row, old_task, _spoken_by(row, voices))
    if row.get("status") in _ACTIVE:
        taken = _taken_over(target, task, old_task)
        if taken is None:
            return ACTIVE
        task = taken
    else:
        audio = await _audio(export, target, row)
        task = _ended(task, row, audio, hidden=not old_task)
    if await target.tasks.get(owner, task.id, include_deleted=True):
        raise Refused(f"another generation has its task: {task.id}")
    if not target.dry_run:
        await target.tasks.create(task, states.reflect(generation, task))
    return IMPORTED


def _records(row: Row, old_task: Row, voice: Voice) -> tuple[Generation, Task]:
    """The rows as new ones, with the old ids and times."""
    id, text = id_in(row, "id"), required(row, "text")
    generation = Generation(
        id=id,
        owner=owner_in(row),
        # A task that its user deleted gets an id that nobody has, the same each time.
        task_id=id_in(old_task, "id") if old_task else str(uuid.uuid5(uuid.UUID(id), "task")),
        voice_id=voice.id,
        voice_name=voice.name,
        text=text,
        language=text_in(row, "language") or "Auto",
        created_at=time_in(row, "created_at"),
    )
    task = states.new_task(
        id=generation.task_id,
        owner=generation.owner,
        provider=text_in(old_task, "provider") or voice.tts_provider,
        voice=voice,
        characters=count_characters(text),
        now=generation.created_at,
        policy=Policy(),
        generation_id=id,
        idempotency_key=_import_key(id),
    )
    return generation, task


def _spoken_by(row: Row, voices: Mapping[str, Row]) -> Voice:
    voice_id = id_in(row, "voice_id") if row.get("voice_id") else ""
    known = voices.get(voice_id, {})
    if known.get("user_id") != row.get("user_id"):
        known = {}
    try:
        return voice_in(known)
    except (Refused, ValidationError):
        # What was said is worth keeping also when its voice is gone.
        return Voice(
            id=voice_id,
            owner=owner_in(row),
            name=text_in(known, "name") or "Deleted voice",
            tts_provider=text_in(known, "tts_provider") or "modal",
        )


async def _audio(export: Export, target: Target, row: Row) -> StoredAudio | None:
    if row.get("status") != Phase.COMPLETED:
        return None
    data = await export.read(required(row, "audio_object_key"), owner=owner_in(row))
    told = row.get("duration_seconds")
    duration = float(told) if isinstance(told, int | float) else None
    audio = await imported_speech(
        data, owner=owner_in(row), generation_id=id_in(row, "id"), duration=duration
    )
    if not target.dry_run:
        await keep_imported(target.blobs, audio.key, data)
    return audio


def _ended(task: Task, row: Row, audio: StoredAudio | None, *, hidden: bool) -> Task:
    phase = _ENDED.get(str(row.get("status")))
    if phase is None:
        raise Refused(f"unknown status: {row.get('status')}")
    at = time_in(row, "completed_at") if row.get("completed_at") else task.created_at
    at = max(at, task.created_at)
    errors = {Phase.FAILED: failure_in(row), Phase.CANCELLED: _CANCELLED}
    return replace(
        task,
        phase=phase,
        next_action_at=None,
        audio=audio,
        error=errors.get(phase),
        completed_at=at,
        updated_at=at,
        deleted_at=at if hidden else None,
    )


def _taken_over(target: Target, task: Task, old_task: Row) -> Task | None:
    """The task as if its job had been accepted just now, with all of its time before it; None if it can't
    be followed from here."""
    job_id = text_in(old_task, "modal_job_id")
    if not target.take_over or task.provider != "modal" or not job_id:
        return None
    now = target.tasks.now()
    given = states.new_task(
        id=task.id,
        owner=task.owner,
        provider=task.provider,
        voice=task.voice,
        characters=task.characters,
        now=now,
        policy=Policy(),
        generation_id=task.generation_id,
        idempotency_key=task.idempotency_key,
    )
    begun = states.advance(given, states.SubmitStarted("provider_submitting"), now)
    accepted = states.advance(begun, states.SubmitAccepted({"job_id": job_id}, now), now)
    return replace(accepted, created_at=min(task.created_at, now))


def _import_key(generation_id: str) -> str:
    return f"import-{generation_id}"


# --- the command --------------------------------------------------------------------------------------


async def run(folder: Path, *, dry_run: bool, take_over: bool) -> int:
    config = Config.from_env(os.environ)
    store = await open_task_store(config.database_url)
    blobs = open_blob_store(config.blob_url)
    try:
        target = Target(store, store, blobs, dry_run=dry_run, take_over=take_over)
        report = await migrate(Export(folder), target)
    finally:
        await blobs.aclose()
        await store.aclose()
    for (table, fate), count in sorted(report.counts.items()):
        print(f"{table}: {count} {fate}{' (dry run)' if dry_run and fate == IMPORTED else ''}")
    for refusal in report.refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    return 1 if report.refusals else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.migrate_v1")
    parser.add_argument("export", type=Path)
    parser.add_argument("--dry-run", action="store_true", help="check every row, write none")
    parser.add_argument(
        "--take-over", action="store_true", help="follow active Modal jobs from here on"
    )
    chosen = parser.parse_args()
    try:
        how = {"dry_run": chosen.dry_run, "take_over": chosen.take_over}
        return anyio.run(partial(run, chosen.export, **how))
    except TtsorchError as error:
        print(f"migrate: {error.message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
