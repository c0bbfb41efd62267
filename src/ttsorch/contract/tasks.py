"""Tasks as a client sees them (R4, R5, R6, A1, A2)."""

from collections.abc import Mapping
from math import ceil

from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.failures import missing
from ttsorch.contract.generate import estimated_minutes
from ttsorch.contract.generations import audio_path
from ttsorch.contract.links import absolute_link
from ttsorch.contract.query import cursor, cursor_text, known_id, limit
from ttsorch.contract.routing import Call
from ttsorch.contract.statuses import task_status
from ttsorch.contract.wire import (
    AudioResult,
    CancelResponse,
    DoneResponse,
    TaskResponse,
    TasksResponse,
)
from ttsorch.errors import ValidationError
from ttsorch.models import ErrorInfo, Job, Status, Task, TaskKind
from ttsorch.states import provider_status

#: The word that the orchestrator uses for "the provider could not be asked this time" (contract 4.2).
_STATUS_ERROR = "status_error"

_MAX_LISTED = 50
_ACTIVE_BY_STATUS: Mapping[str, bool | None] = {"active": True, "terminal": False, "all": None}
_DEFAULT_LISTED = "active"

_PREVIEW_CHARACTERS = 100

#: A poll is worth while when there may be news: often at first, then at a tenth of the time waited.
_MIN_POLL_MS, _MAX_POLL_MS = 500, 5000
_POLLS_PER_ELAPSED = 10


async def show(call: Call) -> HttpResponse:
    """R4: the poll that takes the task one step further. When to come back is said in the body, and for
    clients that go by the header (RFC 9110, 10.2.3), which counts whole seconds, there too."""
    with missing("Task not found.", "task_not_found"):
        job = await call.orchestrator.poll_once(known_id(call.params["id"]), owner=call.owner)
    body = await task_response(call, job)
    if body.poll_after_ms is None:
        return body.response()
    return body.response().with_headers({"retry-after": str(ceil(body.poll_after_ms / 1000))})


async def listing(call: Call) -> HttpResponse:
    """A1: what a reloaded page resumes from. Counts no polls and drives nothing."""
    status = call.query.get("status", "")
    if status not in _ACTIVE_BY_STATUS:
        status = _DEFAULT_LISTED
    kind = _kind(call.query.get("type", ""))
    count = limit(call.query, _MAX_LISTED)
    jobs = await call.orchestrator.list_tasks(
        owner=call.owner,
        active=_ACTIVE_BY_STATUS[status],
        kind=kind,
        before=cursor(call.query),
        limit=count + 1,
    )
    shown, more = jobs[:count], len(jobs) > count
    last = shown[-1].task if more else None
    return TasksResponse(
        tasks=tuple([await task_response(call, job) for job in shown]),
        status=status,
        type=kind,
        limit=count,
        next_before=cursor_text((last.created_at, last.id)) if last else None,
    ).response()


async def cancel(call: Call) -> HttpResponse:
    """R5. Two cancels at once both succeed; one that comes later is told what became of the task."""
    with missing("Task not found.", "task_not_found"):
        task_id = known_id(call.params["id"])
        before = await call.orchestrator.get(task_id, owner=call.owner)
        if before.task.status.terminal:
            raise ValidationError(
                f"Cannot cancel task with status: {before.task.status}", code="task_not_active"
            )
        after = await call.orchestrator.cancel(task_id, owner=call.owner)
    if after.task.status is not Status.CANCELLED:
        raise ValidationError(
            "Task is no longer cancellable.", code="task_not_cancellable", http_status=409
        )
    return CancelResponse(cancelled=True, task_id=task_id).response()


async def delete(call: Call) -> HttpResponse:
    """R6. The generation and its audio stay."""
    with missing("Task not found.", "task_not_found"):
        await call.orchestrator.delete_task(known_id(call.params["id"]), owner=call.owner)
    return DoneResponse(ok=True).response()


async def task_response(call: Call, job: Job) -> TaskResponse:
    """R4 and A2. The ``modal_*`` keys mirror the neutral ones for Modal, and are empty for others."""
    task, generation = job.task, job.generation
    word, error = provider_status(task), _shown_error(task)
    modal = task.provider == "modal"
    result = await _result(call, task)
    return TaskResponse(
        id=task.id,
        type=task.kind,
        status=task_status(task),
        error=error.message if error else None,
        provider=task.provider,
        provider_status=word,
        provider_poll_count=task.poll_count,
        modal_status=word if modal else None,
        modal_elapsed_seconds=task.elapsed if modal else None,
        modal_poll_count=task.poll_count if modal else 0,
        created_at=task.created_at,
        completed_at=task.completed_at,
        generation_id=task.generation_id,
        voice_name=task.voice.name,
        text_preview=_preview(generation.text) if generation else None,
        language=generation.language if generation else None,
        estimated_duration_minutes=estimated_minutes(task.characters),
        supports_cancel=not task.status.terminal,
        progress=task.progress,
        poll_after_ms=_poll_after_ms(call, task),
        error_code=error.code if error else None,
        error_category=error.category if error else None,
        # Left unset, and so unsent, until there is one.
        **({} if result is None else {"result": result}),
    )


async def _result(call: Call, task: Task) -> AudioResult | None:
    if task.status is not Status.COMPLETED:
        return None
    if task.generation_id is not None:
        return AudioResult(audio_url=audio_path(task.generation_id))
    if task.kind is TaskKind.DESIGN_PREVIEW and task.audio is not None:
        return AudioResult(audio_url=await absolute_link(call, task.audio.key))
    return None


def _shown_error(task: Task) -> ErrorInfo | None:
    """Why the task ended, or why this poll has no news. What is being tried again is no error yet: a
    user who reads one tries again too, and pays twice."""
    if task.status.terminal or task.word == _STATUS_ERROR:
        return task.error
    return None


def _poll_after_ms(call: Call, task: Task) -> int | None:
    if task.status.terminal:
        return None
    waited_ms = (call.orchestrator.now() - task.created_at).total_seconds() * 1000
    return round(min(max(waited_ms / _POLLS_PER_ELAPSED, _MIN_POLL_MS), _MAX_POLL_MS))


def _preview(text: str) -> str:
    flat = " ".join(text[: 2 * _PREVIEW_CHARACTERS].split())
    if len(flat) <= _PREVIEW_CHARACTERS and len(text) <= 2 * _PREVIEW_CHARACTERS:
        return flat
    return flat[: _PREVIEW_CHARACTERS - 1].rstrip() + "…"


def _kind(raw: str) -> TaskKind | None:
    return TaskKind(raw) if raw in set(TaskKind) else None
