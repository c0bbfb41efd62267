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
    "age": 0,
    "audio": True,
    "abandon_owed": False,
    "dry_run": False,
    "include_deleted": False,
    "grants": 1,
    "hold": 1,
    "sends": True,
    "spread": 3_000_000,
    "longest": 1,
    "lease": 1,
    "limit": 10,
    "most": 2000,
    "window": 60_000_000,
    "active_per_owner": 5,
    "submits_per_minute": 5,
    "in_flight_per_provider": 5,
    "e_attempts": 1,
    "e_due_at": 1,
    "e_created_at": 1,
    "offset": 0,
    "expected_version": 1,
    "fence": 1,
    "before_created_at": 2**60,
}
_LISTS = {"status": None, "keys": ["k"]}
#: What is always run after ``plan_by_index``.
_BY_INDEX = {"claim_due", "purge_ended", "purge_owned"}

#: Query → the indexes that its plan names.
_INDEXES: Mapping[str, set[str]] = {
    "claim_due": {
        "tasks_due",
        "tasks_due_of_owner",
        "tasks_pkey",
        "generations_pkey",
        "pauses_pkey",
    },
    "list_unknown": {"tasks_unknown", "generations_pkey"},
    "create_job": {"tasks_active", "tasks_history", "tasks_in_flight", "pauses_pkey"},
    "earlier_job": {"tasks_pkey", "tasks_idempotency"},
    "job_by_key": {"tasks_idempotency"},
    "job": {"tasks_pkey", "generations_pkey"},
    "record_poll": {"tasks_pkey", "generations_pkey"},
    "write_job": {"tasks_pkey", "generations_pkey", "pauses_pkey"},
    "renew": {"tasks_pkey"},
    "hide_task": {"tasks_pkey"},
    "claim_effects": {"effects_due", "effects_pkey"},
    "write_effect": {"effects_pkey"},
    "list_effects": {"effects_listing"},
    "end_pause": {"pauses_pkey"},
    "put_aside": {"tasks_pkey"},
    "list_stuck": {"tasks_stuck"},
    "list_tasks": {"tasks_history", "generations_pkey"},
    "list_active_tasks": {"tasks_active", "generations_pkey"},
    "generation": {"generations_pkey"},
    "delete_generation": {"generations_pkey"},
    "page_of_generations": {"generations_history"},
    "page_of_voices": {"voices_listing"},
    "voice": {"voices_pkey"},
    "delete_voice": {"voices_pkey"},
    "purge_ended": {
        "tasks_ended_speech",
        "tasks_ended_casting",
        "generations_ended",
        "effects_listing",
        "effects_of_task",
        "voices_pkey",
        "tasks_pkey",
        "generations_pkey",
        "effects_pkey",
    },
    "purge_owned": {
        "voices_listing",
        "tasks_history",
        "generations_history",
        "effects_of_task",
        "tasks_due_of_owner",
        "tasks_active",
        "tasks_pkey",
        "generations_pkey",
        "effects_pkey",
        "voices_pkey",
    },
    "list_unsettled": {"tasks_due_of_owner", "generations_pkey"},
    "referenced_keys": {"generations_audio", "tasks_audio", "voices_audio", "tasks_clips"},
}
#: These stop at their limit: no sorting, on an index that has the rows in order.
_IN_ORDER = {"list_unknown", "list_tasks", "list_active_tasks", "list_effects", "list_stuck"}


_ROWS = [
    """
    INSERT INTO ttsorch.tasks
    SELECT 't' || n, 'o' || n % 100, 'fake', 'generate', 'g' || n, '{}', '{}', 1, NULL, NULL,
        'completed', n % 200 < 2, 1, 0, NULL, CASE WHEN n % 200 < 2 THEN n END, 0, 0, n % 500 = 0,
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
    """
    INSERT INTO ttsorch.effects
    SELECT 'e' || n, 'o' || n % 100, 't' || n, 'completed',
        CASE WHEN n % 200 = 0 THEN 'owed' ELSE 'delivered' END, 1, '[]', NULL,
        CASE WHEN n % 200 = 0 THEN n END, n
    FROM generate_series(1, 10000) AS n
    """,
    "INSERT INTO ttsorch.pauses SELECT 'p' || n, n, 'busy' FROM generate_series(1, 1000) AS n",
    "UPDATE ttsorch.tasks SET failures = 3, failure = 'KeyError' WHERE owner = 'o9'",
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


def plan(server: Server, database: str, query: str, *, analyze: bool = False, **given: int) -> str:
    """As for a prepared statement: made without knowing the values. With ``analyze``, also what was done,
    and taken back."""
    generic, names = numbered(_SQL[query])
    with psycopg.connect(server.url(database)) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        if query in _BY_INDEX:
            connection.execute(_SQL["plan_by_index"].encode())
        connection.execute(f"PREPARE wanted AS {generic}".encode())
        known = {**_NUMBERS, **_LISTS, **given}
        literals = (psycopg.sql.Literal(known.get(name, "1")) for name in names)
        values = ", ".join(literal.as_string(connection) for literal in literals)
        explain = "EXPLAIN ANALYZE" if analyze else "EXPLAIN"
        rows = connection.execute(f"{explain} EXECUTE wanted ({values})".encode()).fetchall()
        connection.rollback()
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


@pytest.mark.parametrize("query", ["purge_ended", "purge_owned"])
def test_a_purge_looks_at_one_page(server: Server, busy: str, query: str) -> None:
    """Rows are read in the order of an index until a page is full, each with a look-up of its own: nothing
    is made of all tasks or all effects, and nothing is sorted but the owner's few debts."""
    found = plan(server, busy, query)
    assert "hashed" not in found
    assert "Hash" not in found.replace("HashAggregate", "")
    assert found.count("Sort Key") == (1 if query == "purge_owned" else 0)


def test_what_is_due_is_sorted_without_reading_its_rows(server: Server, busy: str) -> None:
    """Whose turn it is, is known from the indexes alone; rows are read one by one, as they are locked."""
    found = plan(server, busy, "claim_due")
    assert "Index Only Scan using tasks_due " in found
    assert "Index Only Scan using tasks_due_of_owner " in found
    assert not re.search(r"(?<!Only )Scan using tasks_due", found), found
    assert found.count("Sort Key") == 3  # within each owner, over all, and the batch


@pytest.mark.parametrize("most", [1, 2000])
def test_a_backlog_is_not_sorted(server: Server, busy: str, most: int) -> None:
    """From so many due jobs on they are not looked at all; with fewer, no owner is looked for."""
    found = plan(server, busy, "claim_due", most=most, clock=5000, analyze=True)
    looks = re.findall(r"Index Only Scan using (\w+) .*?\((actual|never)", found)
    unused = {index for index, how in looks if how == "never"}
    assert unused == {"tasks_due" if most == 1 else "tasks_due_of_owner"}, found


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
