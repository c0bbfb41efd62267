"""PostgreSQL under workers that are killed."""

import json
import os
import random
import subprocess
import sys
import time

import anyio
import pytest

from tests.postgres.server import Server
from ttsorch.store._sql import migrations
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import ANNA, claimed, new_job, stored

_KILLS = 5


def _writer(url: str) -> subprocess.Popen[str]:
    module = "tests.postgres.child_process"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", module, "write", url],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_kill_loses_no_acknowledged_row(server: Server, database: str) -> None:
    """Whenever a worker is killed, all it acknowledged is there, each task with its generation, and no
    transaction of its stays open."""
    acknowledged: set[str] = set()
    for _ in range(_KILLS):
        with _writer(server.url(database)) as worker:
            assert worker.stdout is not None
            first = worker.stdout.readline().strip()
            time.sleep(random.uniform(0, 0.05))  # the moment of death, not a synchronisation
            worker.kill()
            rest = worker.stdout.read()
            acknowledged |= {first, *rest[: rest.rfind("\n") + 1].split()}
    assert len(acknowledged) >= _KILLS
    # The last statement of a killed worker may still be committing.
    left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    while server.ask(database, left, database) != [(0,)]:
        pass  # pytest's own limit ends this
    tasks = {row[0] for row in server.ask(database, "SELECT id FROM ttsorch.tasks")}
    assert acknowledged <= tasks
    assert tasks == {
        row[0] for row in server.ask(database, "SELECT task_id FROM ttsorch.generations")
    }


@pytest.mark.anyio
async def test_leases_follow_the_server_whatever_a_process_thinks_of_time(url: str) -> None:
    """One process is ten minutes ahead, another ten behind: neither takes a live lease early, and a lease
    that has run out is taken by either."""
    ahead, behind = [await PostgresTaskStore.open(url) for _ in range(2)]
    ahead._pool._server_clock._ahead += 600_000_000
    behind._pool._server_clock._ahead -= 600_000_000
    job = await stored(ahead, new_job(ahead.now()))
    ahead._pool._server_clock._ahead += 600_000_000
    held = await claimed(ahead, job, 0.5)
    assert held is not None
    for store in (ahead, behind):
        assert await claimed(store, held) is None
    with anyio.fail_after(10):
        while (taken := await claimed(behind, held)) is None:
            behind._pool._server_clock._ahead -= 600_000_000
    assert taken.task.fence == held.task.fence + 1
    assert not await ahead.renew(job.task.id, fence=held.task.fence, lease_seconds=60)
    for store in (ahead, behind):
        assert await store.get(ANNA, job.task.id) is not None
        await store.aclose()


@pytest.mark.anyio
async def test_a_clock_that_is_wrong_is_put_right_by_the_next_answer(url: str) -> None:
    """An estimate that is off, as after a sleep of the machine, does not last."""
    store, witness = [await PostgresTaskStore.open(url) for _ in range(2)]
    for wrong in (600_000_000, -600_000_000):
        store._pool._server_clock._ahead += wrong
        assert abs((store.now() - witness.now()).total_seconds()) > 500
        await store.record_poll(ANNA, "t")
        job = await stored(store, new_job(witness.now()))
        await store.record_poll(ANNA, job.task.id)
        assert abs((store.now() - witness.now()).total_seconds()) < 5
    for each in (store, witness):
        await each.aclose()


def test_the_command_migrates_and_lists(server: Server, empty_database: str) -> None:
    """``ttsorch migrate`` and ``ttsorch tasks`` need nothing but the URL."""
    environ = {**os.environ, "TTSORCH_DATABASE_URL": server.url(empty_database)}
    command = [sys.executable, "-W", "ignore", "-c", "from ttsorch.cli import main; main()"]
    answers = [
        json.loads(
            subprocess.run(
                [*command, verb, "--json"], env=environ, capture_output=True, check=True, timeout=60
            ).stdout
        )
        for verb in ("migrate", "tasks")
    ]
    assert answers == [{"schema_version": len(migrations("postgres"))}, {"tasks": []}]
