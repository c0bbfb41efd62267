"""P10: what the sweep's query and a poll's update cost with a hundred times as many rows.

A thousand tasks are active and fifty of them are due, however many there are; the rest have ended. One
file has ten thousand rows, the other a million.
"""

import random
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, Measure, cpu_per_call, median, ratio, take_turns
from benchmarks.rows import a_running_job
from ttsorch.store._sql import queries
from ttsorch.store.sqlite import SqliteTaskStore

_OWNER = "ann"
_FEW, _MANY = 10_000, 1_000_000
_ACTIVE, _DUE = 1_000, 50
_CALLS = 300
_SQL = queries("sqlite.sql")

#: Copies of the one row that the store has written, which differ in what an index looks at.
_COPY = """
INSERT INTO tasks ({columns})
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
SELECT {values} FROM n, (SELECT * FROM tasks LIMIT 1) AS t
"""
_CHANGED = {
    "id": "lower(hex(randomblob(16)))",
    "owner": "'owner-' || (n.i % 1000)",
    "generation_id": "NULL",
    # Spread over the whole file.
    "active": "n.i % {every_active} = 0",
    "phase": "CASE WHEN n.i % {every_active} = 0 THEN 'running' ELSE 'completed' END",
    "next_action_at": "CASE WHEN n.i % {every_due} = 0 THEN 1"
    " WHEN n.i % {every_active} = 0 THEN t.next_action_at END",
    "created_at": "t.created_at - n.i",
}


def run(effort: Effort) -> Iterator[Finding]:
    with (
        tempfile.TemporaryDirectory() as folder,
        start_blocking_portal("asyncio") as portal,
        ExitStack() as stack,
    ):
        few, many = effort.calls(_FEW, least=2 * _ACTIVE), effort.calls(_MANY)
        files = {
            "few": stack.enter_context(_File(portal, Path(folder) / "few.db", few)),
            "many": stack.enter_context(_File(portal, Path(folder) / "many.db", many)),
        }
        calls = effort.calls(_CALLS)
        plan = files["many"].plan()
        due = {name: partial(cpu_per_call, calls, file.due) for name, file in files.items()}
        update = {name: partial(cpu_per_call, calls, file.update) for name, file in files.items()}
        rows = f"{many:,} / {few:,} rows"
        yield _finding(f"SQLite due query, {rows}", due, effort, Bar(2.0), plan)
        yield _finding(f"SQLite update by id, {rows}", update, effort, Bar(1.5))


class _File:
    """A database with so many rows. ``due`` and ``update`` run the store's own statements so many times."""

    def __init__(self, portal: BlockingPortal, path: Path, rows: int) -> None:
        portal.call(_first_row, path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        # What a commit costs doesn't depend on the rows; with it, nothing else would be seen.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._fill(rows)
        found = self._connection.execute("SELECT id, owner FROM tasks WHERE active = 1").fetchall()
        self._active = random.Random(1).sample(found, len(found))  # noqa: S311

    def __enter__(self) -> "_File":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def due(self, calls: int) -> None:
        for _ in range(calls):
            found = self._connection.execute(
                _SQL["due_tasks"], {"now": 2, "limit": _DUE}
            ).fetchall()
            if len(found) != _DUE:
                raise AssertionError(f"{len(found)} rows are due")

    def update(self, calls: int) -> None:
        for number in range(calls):
            task_id, owner = self._active[number % len(self._active)]
            values = {"id": task_id, "owner": owner}
            if len(self._connection.execute(_SQL["count_poll"], values).fetchall()) != 1:
                raise AssertionError("no row was updated")

    def plan(self) -> str:
        """How SQLite finds what is due."""
        explain = f"EXPLAIN QUERY PLAN {_SQL['due_tasks']}"
        steps = self._connection.execute(explain, {"now": 2, "limit": _DUE}).fetchall()
        return ", ".join(str(step[3]) for step in steps if "INDEX" in str(step[3]))

    def _fill(self, rows: int) -> None:
        found = self._connection.execute("PRAGMA table_info(tasks)").fetchall()
        columns = [str(row[1]) for row in found]
        values = ", ".join(_CHANGED.get(column, f"t.{column}") for column in columns)
        values = values.format(every_active=rows // _ACTIVE, every_due=rows // _DUE)
        # Our own column names and numbers.
        self._connection.execute(_COPY.format(columns=", ".join(columns), values=values, rows=rows))


async def _first_row(path: Path) -> None:
    store = await SqliteTaskStore.open(path)
    job = a_running_job(_OWNER, "fake", {"id": "job-1"})
    await store.create(job.task, job.generation)
    await store.aclose()


def _finding(
    what: str, turns: Mapping[str, Measure], effort: Effort, bar: Bar, plan: str = ""
) -> Finding:
    costs = take_turns(turns, effort.rounds)
    times = ", ".join(f"{name} {median(costs[name]).value * 1e6:.0f} us" for name in turns)
    note = f"{times}; {plan}" if plan else times
    return Finding("P10", what, ratio(costs, "many", "few"), bar, note=note)
