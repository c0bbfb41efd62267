"""Servers that are wrong about tasks and the history."""

from typing import Any

from tests.conformance.breaking import Exchange, Mutant
from tests.conformance.wrong_answers import (
    CANCEL,
    GENERATE_PATH,
    HISTORY_PATH,
    TASK,
    each,
    key,
    refuse,
    refuse_if,
    status,
    with_query,
)


def while_active(**changes: object) -> Any:
    def change(x: Exchange) -> None:
        if x.json.get("status") == "processing":
            x.set(**changes)

    return change


def _pending_again(x: Exchange) -> None:
    if x.nth == 2 and x.status == 200:
        x.set(status="pending")


def _forgets(x: Exchange) -> None:
    """As a replica does that hasn't heard of the row yet."""
    if x.nth == 1:
        x.answer(404, {"detail": "Task not found."})


def _counts(by: int) -> Any:
    def change(x: Exchange) -> None:
        if x.status == 200:
            x.set(provider_poll_count=x.nth * by)

    return change


def _renamed(old: str, new: str) -> Any:
    def change(x: Exchange) -> None:
        body = x.json
        body[new] = body.pop(old, None)
        x.answer(x.status, body)

    return change


def _always_the_first(x: Exchange) -> None:
    """Looks at the key alone, and not at what comes with it."""
    x.seen.setdefault("first", x.content)
    x.status, x.content = 200, x.seen["first"]


def _oldest_first(x: Exchange) -> None:
    x.set(generations=list(reversed(x.json["generations"])))


def _pagination(**changes: object) -> Any:
    return lambda x: x.set(pagination={**x.json["pagination"], **changes})


def _plus_for_space(x: Exchange) -> None:
    x.set(redirect_url=x.json["redirect_url"].replace("%20", "+"))


TASKS = [
    Mutant("acknowledges with 201", "speech", f"POST {GENERATE_PATH}", status(201)),
    Mutant(
        "renames a key",
        "speech",
        f"POST {GENERATE_PATH}",
        _renamed("generation_id", "generationId"),
    ),
    Mutant("says pending at first", "speech", f"POST {GENERATE_PATH}", key(status="pending")),
    Mutant(
        "estimates in seconds",
        "speech",
        f"POST {GENERATE_PATH}",
        key(estimated_duration_minutes=12),
    ),
    Mutant("leaves out what is null", "speech", f"GET {TASK}", lambda x: x.drop("error")),
    Mutant("has a null result", "speech", f"GET {TASK}", while_active(result=None)),
    Mutant("steps back to pending", "speech", f"GET {TASK}", _pending_again),
    Mutant("can't find what it has acknowledged", "speech", f"GET {TASK}", _forgets),
    Mutant("counts no polls", "speech", f"GET {TASK}", _counts(0)),
    Mutant("counts a poll twice", "speech", f"GET {TASK}", _counts(2)),
    Mutant("has an empty error", "speech", f"GET {TASK}", while_active(error="")),
    Mutant("hints in words", "speech", f"GET {TASK}", while_active(poll_after_ms="soon")),
    Mutant(
        "can't cancel what is active", "speech", f"GET {TASK}", while_active(supports_cancel=False)
    ),
    Mutant(
        "shows the vendor's URL",
        "task-completed",
        f"GET {TASK}",
        key(result={"audio_url": "https://vendor.example/a.wav?sig=1"}),
    ),
    Mutant(
        "goes on after the end",
        "task-completed",
        f"GET {TASK}",
        lambda x: (
            x.set(status="processing") if x.json["status"] == "completed" and x.nth == 4 else None
        ),
    ),
    Mutant(
        "counts polls of what has ended",
        "task-completed",
        f"GET {TASK}",
        lambda x: x.set(provider_poll_count=x.nth),
    ),
    Mutant(
        "mirrors the modal fields for everybody",
        "task-no-modal-fields",
        f"GET {TASK}",
        lambda x: x.set(modal_status=x.json["provider_status"]),
    ),
    Mutant("has no time of the end", "task-times", f"GET {TASK}", key(completed_at="yesterday")),
    Mutant("names another generation", "task-subject", f"GET {TASK}", key(generation_id="another")),
    Mutant("hints after the end", "task-hints", f"GET {TASK}", key(poll_after_ms=1000)),
    Mutant(
        "refuses a malformed id",
        "task-missing",
        "GET /api/tasks/not-an-id",
        refuse(400, "Invalid task id"),
    ),
    Mutant(
        "has another word for done",
        "cancel-completed",
        f"POST {CANCEL}",
        key(detail="Cannot cancel task with status: done"),
    ),
    Mutant("cancels what is completed", "cancel-completed", f"POST {CANCEL}", refuse(200, "")),
    Mutant(
        "cancels without a body",
        "cancel",
        f"POST {CANCEL}",
        lambda x: setattr(x, "status", 204) if x.status == 200 else None,
    ),
    Mutant(
        "cancels twice",
        "cancel",
        f"POST {CANCEL}",
        lambda x: x.answer(200, {"cancelled": True, "task_id": x.path.split("/")[3]}),
    ),
    Mutant(
        "processes what is cancelled",
        "cancel",
        f"GET {TASK}",
        lambda x: x.set(status="processing") if x.nth == 2 else None,
    ),
    Mutant("doesn't say why", "cancel", f"GET {TASK}", key(error=None)),
    Mutant(
        "has no line for what is cancelled",
        "cancel",
        f"GET {HISTORY_PATH}",
        each("generations", error_message=None),
    ),
    Mutant(
        "has a category of its own",
        "task-error-category",
        f"GET {TASK}",
        key(error_category="user"),
    ),
    Mutant("deletes without a body", "delete-active", f"DELETE {TASK}", status(204)),
    Mutant("keeps a deleted task", "delete-active", f"GET {TASK}", refuse(200, "")),
    Mutant(
        "drops the generation with its task",
        "delete-active",
        f"GET {HISTORY_PATH}",
        key(generations=[]),
    ),
    Mutant(
        "finishes nothing that nobody polls",
        "unattended",
        f"GET {HISTORY_PATH}",
        each("generations", status="failed"),
    ),
    Mutant(
        "lists the ended as active",
        "tasks-listed",
        "GET /api/tasks",
        rewrite=with_query("status=active", "status=all"),
    ),
    Mutant(
        "begins again with every page",
        "tasks-listed",
        "GET /api/tasks",
        rewrite=with_query("&before=.*", ""),
    ),
    Mutant(
        "lists without a cursor", "tasks-listed", "GET /api/tasks", lambda x: x.drop("next_before")
    ),
    Mutant(
        "lists as many as it is asked for",
        "tasks-listed",
        "GET /api/tasks",
        lambda x: x.set(limit=9999) if "9999" in x.query else None,
    ),
    Mutant(
        "answers another body with the first answer",
        "idempotency",
        f"POST {GENERATE_PATH}",
        _always_the_first,
    ),
    Mutant(
        "keeps the line of a deleted generation",
        "delete-active-generation",
        f"GET {HISTORY_PATH}",
        lambda x: x.set(generations=[{}]),
    ),
]


HISTORY = [
    Mutant(
        "has no audio path",
        "history-line",
        f"GET {HISTORY_PATH}",
        lambda x: x.set(
            generations=[
                {k: v for k, v in line.items() if k != "audio_path"}
                for line in x.json["generations"]
            ]
        ),
    ),
    Mutant(
        "measures in words",
        "history-line",
        f"GET {HISTORY_PATH}",
        each("generations", duration_seconds="0.25"),
    ),
    Mutant(
        "has times without a zone",
        "history-line",
        f"GET {HISTORY_PATH}",
        each("generations", created_at="2026-01-01T00:00:00"),
    ),
    Mutant("shows the oldest first", "history-order", f"GET {HISTORY_PATH}", _oldest_first),
    Mutant(
        "gives as many as it is asked for",
        "history-paging",
        f"GET {HISTORY_PATH}",
        lambda x: _pagination(per_page=1000)(x) if "1000" in x.query else None,
    ),
    Mutant(
        "has no page of nothing",
        "history-paging",
        f"GET {HISTORY_PATH}",
        lambda x: _pagination(pages=0)(x) if x.json["pagination"]["total"] == 0 else None,
    ),
    Mutant(
        "refuses junk",
        "history-paging",
        f"GET {HISTORY_PATH}",
        refuse_if(lambda x: "abc" in x.query, 422, "page must be a number"),
    ),
    Mutant(
        "gives the last page past the end",
        "history-paging",
        f"GET {HISTORY_PATH}",
        lambda x: _pagination(page=1)(x) if "999999" in x.query else None,
    ),
    Mutant(
        "takes % for a wildcard",
        "history-search",
        f"GET {HISTORY_PATH}",
        rewrite=with_query("%25four", ""),
    ),
    Mutant(
        "takes _ for a wildcard",
        "history-search",
        f"GET {HISTORY_PATH}",
        rewrite=with_query("%3A_$", "%3A"),
    ),
    Mutant(
        "knows the case of ASCII only",
        "history-search",
        f"GET {HISTORY_PATH}",
        lambda x: x.set(generations=[]) if "%C3%A4" in x.query else None,
    ),
    Mutant(
        "ignores the status",
        "history-status",
        f"GET {HISTORY_PATH}",
        rewrite=with_query("&status=.*", ""),
    ),
    Mutant(
        "knows no status all",
        "history-status",
        f"GET {HISTORY_PATH}",
        lambda x: x.set(generations=[]) if "status=all" in x.query else None,
    ),
    Mutant("writes + for a space", "regenerate", "POST /api/generations/.*", _plus_for_space),
    Mutant(
        "ends the sentence with a full stop",
        "generation-missing",
        "POST /api/generations/.*",
        key(detail="Generation not found."),
    ),
]
