"""Records to rows and back, for every store that keeps columns. What comes back equals what went in.

A row maps column names to plain values: times are integer microseconds since the epoch, structures are
JSON text. Text, not a database's own JSON type, because what a vendor sends may hold what those refuse.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from ttsorch.errors import Category
from ttsorch.models import (
    Effect,
    EffectState,
    ErrorInfo,
    Generation,
    JsonValue,
    Pause,
    Phase,
    Status,
    StoredAudio,
    StuckTask,
    Task,
    TaskKind,
    Voice,
    VoiceSource,
)

Column: TypeAlias = str | int | float | None
#: A row as a driver hands it over; the schema vouches for the types.
Row: TypeAlias = Mapping[str, Any]

_ERROR_FIELDS = frozenset(field.name for field in fields(ErrorInfo))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """Exact, unlike ``timestamp()``, which goes through a float."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


def task_to_row(task: Task) -> dict[str, Column]:
    return {
        "id": task.id,
        "owner": task.owner,
        "provider": task.provider,
        "kind": task.kind.value,
        "generation_id": task.generation_id,
        "voice": json.dumps(voice_to_row(task.voice)),
        "options": _to_json(task.options),
        "characters": task.characters,
        "idempotency_key": task.idempotency_key,
        "payload_hash": task.payload_hash,
        "phase": task.phase.value,
        "active": not task.status.terminal,
        "version": task.version,
        "fence": task.fence,
        "lease_until": _time_or_none(task.lease_until),
        "next_action_at": _time_or_none(task.next_action_at),
        "attempts": task.attempts,
        "resubmits": task.resubmits,
        "outcome_open": task.outcome_open,
        "finalize_attempts": task.finalize_attempts,
        "poll_count": task.poll_count,
        "ticket": _json_or_none(task.ticket),
        "envelope": _json_or_none(task.envelope),
        "result_expires_at": _time_or_none(task.result_expires_at),
        "receipt": _json_or_none(task.receipt),
        "word": task.word,
        "elapsed": task.elapsed,
        "progress": task.progress,
        "doubted_at": _time_or_none(task.doubted_at),
        "error": _error_to_json(task.error),
        "audio": _audio_to_json(task.audio),
        "cancel_owed": task.cancel_owed,
        "cancel_attempts": task.cancel_attempts,
        "accept_by": to_microseconds(task.accept_by),
        "finish_by": to_microseconds(task.finish_by),
        "created_at": to_microseconds(task.created_at),
        "updated_at": to_microseconds(task.updated_at),
        "submitted_at": _time_or_none(task.submitted_at),
        "completed_at": _time_or_none(task.completed_at),
        "deleted_at": _time_or_none(task.deleted_at),
    }


def task_from_row(row: Row) -> Task:
    return Task(
        id=row["id"],
        owner=row["owner"],
        provider=row["provider"],
        kind=TaskKind(row["kind"]),
        generation_id=row["generation_id"],
        voice=voice_from_row(json.loads(row["voice"])),
        options=json.loads(row["options"]),
        characters=row["characters"],
        idempotency_key=row["idempotency_key"],
        payload_hash=row["payload_hash"],
        phase=Phase(row["phase"]),
        version=row["version"],
        fence=row["fence"],
        lease_until=_read_time(row["lease_until"]),
        next_action_at=_read_time(row["next_action_at"]),
        attempts=row["attempts"],
        resubmits=row["resubmits"],
        outcome_open=bool(row["outcome_open"]),
        finalize_attempts=row["finalize_attempts"],
        poll_count=row["poll_count"],
        ticket=_read_json(row["ticket"]),
        envelope=_read_json(row["envelope"]),
        result_expires_at=_read_time(row["result_expires_at"]),
        receipt=_read_json(row["receipt"]),
        word=row["word"],
        elapsed=row["elapsed"],
        progress=row["progress"],
        doubted_at=_read_time(row["doubted_at"]),
        error=_error_from_json(row["error"]),
        audio=_audio_from_json(row["audio"]),
        cancel_owed=bool(row["cancel_owed"]),
        cancel_attempts=row["cancel_attempts"],
        accept_by=from_microseconds(row["accept_by"]),
        finish_by=from_microseconds(row["finish_by"]),
        created_at=from_microseconds(row["created_at"]),
        updated_at=from_microseconds(row["updated_at"]),
        submitted_at=_read_time(row["submitted_at"]),
        completed_at=_read_time(row["completed_at"]),
        deleted_at=_read_time(row["deleted_at"]),
    )


def stuck_from_row(row: Row) -> StuckTask:
    """Never fails: a time that is none is left out."""
    due = row["next_action_at"]
    return StuckTask(
        id=str(row["id"]),
        owner=str(row["owner"]),
        provider=str(row["provider"]),
        kind=str(row["kind"]),
        phase=str(row["phase"]),
        failures=row["failures"],
        reason=str(row["failure"]),
        next_action_at=from_microseconds(due) if isinstance(due, int) else None,
    )


def pause_from_row(row: Row) -> Pause:
    return Pause(row["provider"], from_microseconds(row["until"]), row["reason"])


def generation_to_row(generation: Generation) -> dict[str, Column]:
    return {
        "id": generation.id,
        "owner": generation.owner,
        "task_id": generation.task_id,
        "voice_id": generation.voice_id,
        "voice_name": generation.voice_name,
        "text": generation.text,
        "language": generation.language,
        "status": generation.status.value,
        "audio": _audio_to_json(generation.audio),
        "error_message": generation.error_message,
        "created_at": to_microseconds(generation.created_at),
        "completed_at": _time_or_none(generation.completed_at),
    }


def generation_from_row(row: Row) -> Generation:
    return Generation(
        id=row["id"],
        owner=row["owner"],
        task_id=row["task_id"],
        voice_id=row["voice_id"],
        voice_name=row["voice_name"],
        text=row["text"],
        language=row["language"],
        status=Status(row["status"]),
        audio=_audio_from_json(row["audio"]),
        error_message=row["error_message"],
        created_at=from_microseconds(row["created_at"]),
        completed_at=_read_time(row["completed_at"]),
    )


def effect_to_row(effect: Effect) -> dict[str, Column]:
    return {
        "key": effect.key,
        "owner": effect.owner,
        "task_id": effect.task_id,
        "status": effect.status.value,
        "state": effect.state.value,
        "attempts": effect.attempts,
        "told": json.dumps(effect.told),
        "error": effect.error,
        "due_at": _time_or_none(effect.due_at),
        "created_at": to_microseconds(effect.created_at),
    }


def effect_from_row(row: Row) -> Effect:
    return Effect(
        key=row["key"],
        owner=row["owner"],
        task_id=row["task_id"],
        status=Status(row["status"]),
        state=EffectState(row["state"]),
        attempts=row["attempts"],
        told=tuple(json.loads(row["told"])),
        error=row["error"],
        due_at=_read_time(row["due_at"]),
        created_at=from_microseconds(row["created_at"]),
    )


def voice_to_row(voice: Voice) -> dict[str, Column]:
    return {
        "id": voice.id,
        "owner": voice.owner,
        "name": voice.name,
        "tts_provider": voice.tts_provider,
        "source": voice.source.value,
        "language": voice.language,
        "description": voice.description,
        "reference_transcript": voice.reference_transcript,
        "reference_audio_key": voice.reference_audio_key,
        "provider_voice_id": voice.provider_voice_id,
        "provider_target_model": voice.provider_target_model,
        "provider_voice_kind": voice.provider_voice_kind,
        "created_at": _time_or_none(voice.created_at),
        "deleted_at": _time_or_none(voice.deleted_at),
    }


def voice_from_row(row: Row) -> Voice:
    return Voice(
        id=row["id"],
        owner=row["owner"],
        name=row["name"],
        tts_provider=row["tts_provider"],
        source=VoiceSource(row["source"]),
        language=row["language"],
        description=row["description"],
        reference_transcript=row["reference_transcript"],
        reference_audio_key=row["reference_audio_key"],
        provider_voice_id=row["provider_voice_id"],
        provider_target_model=row["provider_target_model"],
        provider_voice_kind=row["provider_voice_kind"],
        created_at=_read_time(row["created_at"]),
        deleted_at=_read_time(row["deleted_at"]),
    )


def _time_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_microseconds(moment)


def _read_time(count: int | None) -> datetime | None:
    return None if count is None else from_microseconds(count)


def _to_json(value: Mapping[str, JsonValue]) -> str:
    return json.dumps(value, default=dict)  # a Mapping need not be a dict


def _json_or_none(value: Mapping[str, JsonValue] | None) -> str | None:
    return None if value is None else _to_json(value)


def _read_json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _error_to_json(error: ErrorInfo | None) -> str | None:
    if error is None:
        return None
    return json.dumps(
        {
            "category": error.category.value,
            "code": error.code,
            "message": error.message,
            "detail": error.detail,
            "retryable": error.retryable,
            "retry_after": error.retry_after,
            "provider_code": error.provider_code,
            "request_id": error.request_id,
            "ambiguous": error.ambiguous,
            "started": error.started,
        }
    )


def _error_from_json(text: str | None) -> ErrorInfo | None:
    if text is None:
        return None
    # A newer version may have written more than this one knows.
    values = {key: value for key, value in json.loads(text).items() if key in _ERROR_FIELDS}
    return ErrorInfo(**{**values, "category": Category(values["category"])})


def _audio_to_json(audio: StoredAudio | None) -> str | None:
    if audio is None:
        return None
    return json.dumps(
        {
            "key": audio.key,
            "size": audio.size,
            "sha256": audio.sha256,
            "content_type": audio.content_type,
            "duration": audio.duration,
        }
    )


def _audio_from_json(text: str | None) -> StoredAudio | None:
    return None if text is None else StoredAudio(**json.loads(text))
