"""Which indexes PostgreSQL uses, so that no query slows down with the number of rows."""

import re
from collections.abc import Mapping

import anyio
import psycopg
import psycopg.sql
import pytest

from tests.postgres.server import Server
from ttsorch.store import migrate_task_store
from ttsorch.store._sql import numbered, queries

_SQL = queries("postgres.sql")
_NUMBERS = {
    "active": True,
    "include_deleted": False,
    "grants": 1,
    "hold": 1,
    "lease": 1,
    "limit": 10,
    "offset": 0,
    "expected_version": 1,
    "fence": 1,
    "before_created_at": 2**60,
}
_LISTS = {"status": None, "keys": ["k"]}

#: Query → the indexes that its plan names.
_INDEXES: Mapping[str, set[str]] = {
    "claim_due": {"tasks_due", "tasks_pkey", "generations_pkey"},
    "list_unknown": {"tasks_unknown", "generations_pkey"},
    "create_job": {"tasks_active"},
    "earlier_job": {"tasks_pkey", "tasks_idempotency"},
    "job_by_key": {"tasks_idempotency"},
    "job": {"tasks_pkey", "generations_pkey"},
    "record_poll": {"tasks_pkey", "generations_pkey"},
    "write_job": {"tasks_pkey", "generations_pkey"},
    "renew": {"tasks_pkey"},
    "hide_task": {"tasks_pkey"},
    "list_tasks": {"tasks_history", "generations_pkey"},
    "list_active_tasks": {"tasks_active", "generations_pkey"},
    "generation": {"generations_pkey"},
    "delete_generation": {"generations_pkey"},
    "page_of_generations": {"generations_history"},
    "page_of_voices": {"voices_listing"},
    "voice": {"voices_pkey"},
    "delete_voice": {"voices_pkey"},
    "referenced_keys": {"generations_audio", "tasks_audio", "voices_audio", "tasks_clips"},
}
#: These stop at their limit: no sorting, on an index that has the rows in order.
_IN_ORDER = {"list_unknown", "list_tasks", "list_active_tasks"}


_ROWS = [
    """
    INSERT INTO ttsorch.tasks
    SELECT 't' || n, 'o' || n % 100, 'fake', 'generate', 'g' || n, '{}', '{}', 1, NULL, NULL,
        'completed', n % 200 = 0, 1, 0, NULL, CASE WHEN n % 200 = 0 THEN n END, 0, 0, n % 500 = 0,
        0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false,
        0, n, n, n, n
    FROM generate_series(1, 10000) AS n
    """,
    """
    INSERT INTO ttsorch.generations
    SELECT 'g' || n, 'o' || n % 100, 't' || n, 'v', 'V', 'text', 'text', 'en', 'completed', NULL,
        'k' || n, NULL, n, n
    FROM generate_series(1, 10000) AS n
    """,
    """
    INSERT INTO ttsorch.voices (id, owner, name, name_folded, tts_provider, source, language,
        reference_audio_key, created_at)
    SELECT 'v' || n, 'o' || n % 100, 'V', 'v', 'fake', 'uploaded', 'en', 'c' || n, n
    FROM generate_series(1, 10000) AS n
    """,
    "UPDATE ttsorch.tasks SET kind = 'clone', clip_key = 'c' || id WHERE owner = 'o7'",
    "UPDATE ttsorch.tasks SET generation_id = NULL, audio_key = 'a' || id WHERE owner = 'o8'",
    "ANALYZE",
]


@pytest.fixture(scope="module")
def busy(server: Server) -> str:
    """A database with a hundred owners and ten thousand tasks, few of them active."""
    name = server.new_database()
    anyio.run(migrate_task_store, server.url(name))
    for statement in _ROWS:
        server.ask(name, statement)
    return name


def plan(server: Server, database: str, query: str) -> str:
    """As for a prepared statement: made without knowing the values."""
    generic, names = numbered(_SQL[query])
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(f"PREPARE wanted AS {generic}".encode())
        values = [_NUMBERS.get(name, _LISTS.get(name, "1")) for name in names]
        given = ", ".join(psycopg.sql.Literal(value).as_string(connection) for value in values)
        rows = connection.execute(f"EXPLAIN EXECUTE wanted ({given})".encode())
        return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("query", _INDEXES)
def test_query_uses_its_index(server: Server, busy: str, query: str) -> None:
    """The plan names the index that was made for the query, and reads no table from end to end."""
    found = plan(server, busy, query)
    for index in _INDEXES[query]:
        assert re.search(rf"using {index}\b|on {index}\b", found), found
    assert "Seq Scan" not in found


@pytest.mark.parametrize("query", sorted(_IN_ORDER))
def test_listing_needs_no_sorting(server: Server, busy: str, query: str) -> None:
    """A listing reads its rows in the index's order and stops at its limit."""
    assert "Sort" not in plan(server, busy, query)


def test_due_tasks_are_found_without_sorting(server: Server, busy: str) -> None:
    """Only the handful that was locked is sorted, at the very end."""
    found = plan(server, busy, "claim_due")
    assert found.count("Sort Key") == 1
    assert found.index("Sort Key") < found.index("LockRows")


def test_a_poll_touches_no_index(server: Server, busy: str) -> None:
    """Counting a poll writes the row again on the same page (a heap-only tuple)."""
    one = "UPDATE ttsorch.tasks SET poll_count = poll_count + 1 WHERE id = 't200'"
    counters = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables "
        "WHERE schemaname = 'ttsorch' AND relname = 'tasks'"
    )
    with psycopg.connect(server.url(busy), autocommit=True) as connection:
        connection.execute("VACUUM ttsorch.tasks")
        connection.execute("SELECT pg_stat_force_next_flush()")
        before = connection.execute(counters).fetchone()
        for _ in range(10):
            connection.execute(one.encode())
        connection.execute("SELECT pg_stat_force_next_flush()")
        after = connection.execute(counters).fetchone()
    assert before is not None
    assert after is not None
    assert (after[0] - before[0], after[1] - before[1]) == (10, 10)
