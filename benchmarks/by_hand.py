"""The contract's answer about a task as one would write it for one framework, without ttsorch.contract.

The bare routes use it, and their answers are compared with the adapters' before anything is measured: the
same keys, the same values, one dict literal.
"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from ttsorch.models import Job, Status
from ttsorch.states import provider_status


def task_dict(job: Job, now: datetime) -> dict[str, object]:
    """A task that is active or has ended, for the framework's own JSON response."""
    task, generation = job.task, job.generation
    word = provider_status(task)
    shown = task.error if task.status.terminal or task.word == "status_error" else None
    is_modal = task.provider == "modal"
    body: dict[str, object] = {
        "id": task.id,
        "type": task.kind.value,
        "status": "processing" if task.status is Status.PENDING else task.status.value,
        "error": shown.message if shown else None,
        "provider": task.provider,
        "provider_status": word,
        "provider_poll_count": task.poll_count,
        "modal_status": word if is_modal else None,
        "modal_elapsed_seconds": task.elapsed if is_modal else None,
        "modal_poll_count": task.poll_count if is_modal else 0,
        "created_at": as_text(task.created_at),
        "completed_at": as_text(task.completed_at) if task.completed_at else None,
        "generation_id": task.generation_id,
        "voice_name": task.voice.name,
        "text_preview": _preview(generation.text) if generation else None,
        "language": generation.language if generation else None,
        "estimated_duration_minutes": _minutes(task.characters),
        "supports_cancel": not task.status.terminal,
        "progress": task.progress,
        "poll_after_ms": None if task.status.terminal else _poll_after(now - task.created_at),
        "error_code": shown.code if shown else None,
        "error_category": shown.category.value if shown else None,
    }
    if task.status is Status.COMPLETED:
        body["result"] = {"audio_url": f"/api/generations/{task.generation_id}/audio"}
    return body


def as_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _preview(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:99].rstrip() + "…"


def _minutes(characters: int) -> float:
    minutes = (Decimal(characters) / 375).quantize(Decimal("0.1"), ROUND_HALF_UP)
    return max(0.1, float(minutes))


def _poll_after(waited: timedelta) -> int:
    return round(min(max(waited.total_seconds() * 100, 500), 5000))
