"""A small v1 backend of the old kind, as its operator exports it."""

import json
from collections.abc import Mapping
from pathlib import Path

from ttsorch.testing.speech import tone_wav

VOICE = "0b0e7a52-3f0a-4d0e-9d3d-2f4f5b7a1001"
DESIGNED = "0b0e7a52-3f0a-4d0e-9d3d-2f4f5b7a1002"
DELETED_VOICE = "0b0e7a52-3f0a-4d0e-9d3d-2f4f5b7a1003"
DONE, FAILED, CANCELLED, WITHOUT_TASK, RUNNING = (
    f"5e1c2c44-8a5b-4d57-8f0e-7c1f6a2b200{n}" for n in range(1, 6)
)
DONE_TASK, RUNNING_TASK = (f"77b1b8a0-1f6e-4b8e-a8e5-3d0d5c1e300{n}" for n in (1, 5))
SPEECH, OTHER_SPEECH, CLIP = tone_wav(0.5), tone_wav(0.75), tone_wav(1.0)

Row = dict[str, object]


def voice_rows() -> list[Row]:
    made: Row = {
        "id": VOICE,
        "user_id": "ann",
        "name": "Vera",
        "source": "uploaded",
        "language": "English",
        "description": None,
        "reference_object_key": "ann/voices/vera.wav",
        "reference_transcript": "These are my words.",
        "tts_provider": "fake",
        "provider_voice_id": None,
        "provider_target_model": None,
        "provider_voice_kind": None,
        "created_at": "2025-01-02T03:04:05.678+00:00",
        "deleted_at": None,
    }
    designed = made | {
        "id": DESIGNED,
        "name": "Sailor",
        "source": "designed",
        "reference_object_key": None,
        "tts_provider": "qwen",
        "provider_voice_id": "qwen-tts-vd-1",
        "provider_target_model": "qwen3-tts-vd-2026-01-26",
        "provider_voice_kind": "vd",
        "created_at": "2025-01-03T00:00:00Z",
    }
    deleted = made | {"id": DELETED_VOICE, "name": "Gone", "deleted_at": "2025-02-01T00:00:00Z"}
    return [made, designed, deleted]


def generation_rows() -> list[Row]:
    done: Row = {
        "id": DONE,
        "user_id": "ann",
        "voice_id": VOICE,
        "text": "Good morning.",
        "language": "English",
        "status": "completed",
        "audio_object_key": "ann/generations/1.wav",
        "duration_seconds": 0.5,
        "error_message": None,
        "created_at": "2025-03-01T10:00:00+00:00",
        "completed_at": "2025-03-01T10:00:12.5+00:00",
    }
    unspoken = done | {"audio_object_key": None, "duration_seconds": None}
    return [
        done,
        unspoken
        | {
            "id": FAILED,
            "status": "failed",
            "error_message": 'modal said {"trace": "https://internal"}',
            "created_at": "2025-03-02T10:00:00Z",
            "completed_at": None,
        },
        unspoken
        | {"id": CANCELLED, "status": "cancelled", "voice_id": DELETED_VOICE, "user_id": "ann"},
        done
        | {
            "id": WITHOUT_TASK,
            "voice_id": None,
            "audio_object_key": "bob/generations/4.wav",
            "user_id": "bob",
            "text": "Bob's.",
        },
        unspoken
        | {
            "id": RUNNING,
            "status": "processing",
            "text": "Still at it.",
            "completed_at": None,
            "created_at": "2025-03-05T10:00:00Z",
        },
    ]


def task_rows() -> list[Row]:
    done: Row = {
        "id": DONE_TASK,
        "user_id": "ann",
        "type": "generate",
        "status": "completed",
        "generation_id": DONE,
        "provider": "modal",
        "modal_job_id": "fc-1",
    }
    running = {"id": RUNNING_TASK, "generation_id": RUNNING, "status": "processing"}
    preview = {"id": VOICE, "type": "design_preview", "generation_id": None}
    return [done, done | running | {"modal_job_id": "fc-5"}, done | preview]


def objects() -> dict[str, bytes]:
    return {
        "ann/voices/vera.wav": CLIP,
        "ann/generations/1.wav": SPEECH,
        "bob/generations/4.wav": OTHER_SPEECH,
    }


def write_export(
    folder: Path,
    *,
    voices: list[Row] | None = None,
    generations: list[Row] | None = None,
    tasks: list[Row] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """The export as files; what isn't given is the small backend's."""
    tables = {
        "voices": voice_rows() if voices is None else voices,
        "generations": generation_rows() if generations is None else generations,
        "tasks": task_rows() if tasks is None else tasks,
    }
    for table, rows in tables.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{table}.jsonl").write_text(lines, "utf-8")
    for key, data in (objects() if files is None else files).items():
        path = folder / "objects" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
