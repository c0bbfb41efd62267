"""Which indexes SQLite uses, so that no query slows down with the number of rows."""

import pytest

from ttsorch.store._sql import queries
from ttsorch.store.sqlite import SqliteTaskStore

pytestmark = pytest.mark.anyio

_SQL = queries("sqlite.sql")
_VALUES = {
    "abandon_owed": 0,
    "active": None,
    "after": "",
    "audio": 1,
    "before_created_at": 0,
    "before_id": "t",
    "expected_version": None,
    "hold": 1,
    "ended": 0,
    "id": "t",
    "idempotency_key": "k",
    "ids": '["t"]',
    "include_deleted": 0,
    "keys": '["k"]',
    "kind": None,
    "limit": 10,
    "longest": 1,
    "most": 10,
    "now": 0,
    "offset": 0,
    "owner": "o",
    "reason": "KeyError",
    "search": "",
    "spread": 1,
    "source": None,
    "status": None,
    "until": 0,
}


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("count_due", {"tasks_due"}),
        ("due_tasks", {"tasks_due"}),
        ("due_tasks_of_a_backlog", {"tasks_due_of_owner"}),
        ("list_unknown", {"tasks_unknown"}),
        ("count_active", {"tasks_active"}),
        ("list_tasks", {"tasks_history"}),
        ("list_tasks_before", {"tasks_history"}),
        ("earlier_task", {"sqlite_autoindex_tasks_1", "tasks_idempotency"}),
        ("task_by_key", {"tasks_idempotency"}),
        ("task", {"sqlite_autoindex_tasks_1"}),
        ("hold_tasks", {"sqlite_autoindex_tasks_1"}),
        ("put_off_tasks", {"sqlite_autoindex_tasks_1"}),
        ("put_aside", {"sqlite_autoindex_tasks_1"}),
        ("list_stuck", {"tasks_stuck"}),
        ("count_poll", {"sqlite_autoindex_tasks_1"}),
        ("generations", {"sqlite_autoindex_generations_1"}),
        ("count_generations", {"generations_history"}),
        ("list_generations", {"generations_history"}),
        ("list_voices", {"voices_listing"}),
        ("ended_tasks", {"tasks_ended_speech", "tasks_ended_casting", "effects_of_task"}),
        ("ended_generations", {"generations_ended", "effects_of_task"}),
        ("ended_effects", {"effects_listing"}),
        ("owned_voices", {"voices_listing"}),
        ("owned_tasks", {"tasks_history", "effects_of_task"}),
        ("owned_generations", {"generations_history"}),
        ("owned_effects", {"effects_of_task"}),
        ("hide_owing_tasks", {"tasks_due_of_owner", "effects_of_task"}),
        ("count_kept_tasks", {"tasks_due_of_owner", "effects_of_task"}),
        ("list_unsettled", {"tasks_due_of_owner"}),
        ("referenced_keys", {"generations_audio", "tasks_audio", "voices_audio", "tasks_clips"}),
    ],
)
async def test_query_uses_its_index(
    sqlite_store: SqliteTaskStore, query: str, indexes: set[str]
) -> None:
    """The plan searches by the index that was made for the query, and scans no table."""
    rows = await sqlite_store._reader.run(
        lambda db: db.execute(f"EXPLAIN QUERY PLAN {_SQL[query]}", _VALUES).fetchall()
    )
    steps = [row["detail"] for row in rows]
    for index in indexes:
        assert any(f"INDEX {index} " in f"{step} " for step in steps), steps
    for table in ("tasks", "generations", "voices", "effects"):
        assert f"SCAN {table}" not in steps


@pytest.mark.parametrize(
    "query",
    [
        "list_unknown",
        "list_tasks",
        "list_generations",
        "list_voices",
        "list_stuck",
        "ended_tasks",
        "ended_generations",
        "owned_tasks",
        "owned_generations",
    ],
)
async def test_listing_needs_no_sorting(sqlite_store: SqliteTaskStore, query: str) -> None:
    """A listing reads its rows in the index's order and stops at its limit. What is due is sorted, so that
    owners take turns: but only that."""
    rows = await sqlite_store._reader.run(
        lambda db: db.execute(f"EXPLAIN QUERY PLAN {_SQL[query]}", _VALUES).fetchall()
    )
    assert not any("TEMP B-TREE" in row["detail"] for row in rows)
