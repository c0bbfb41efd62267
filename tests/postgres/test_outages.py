"""What a store does while its database is away, slow or silent, and that it recovers by itself."""

import os
import signal
import time
from collections.abc import AsyncIterator
from itertools import count

import anyio
import pytest

from tests.postgres.conftest import check_nothing_is_left
from tests.postgres.server import Server, locked
from ttsorch.errors import StorageUnavailable
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import ANNA, new_job, race, stored

pytestmark = pytest.mark.anyio

_CALLERS = 20
_HALF_JOBS = """
    SELECT count(*) FROM ttsorch.tasks AS t FULL JOIN ttsorch.generations AS g ON g.task_id = t.id
    WHERE t.id IS NULL OR g.id IS NULL
"""


@pytest.fixture
async def quick(url: str) -> AsyncIterator[PostgresTaskStore]:
    """A store that gives up soon."""
    opened = await PostgresTaskStore.open(url, wait_seconds=0.5, statement_seconds=0.5)
    yield opened
    await opened.aclose()


async def _served_again(store: PostgresTaskStore) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await store.get(ANNA, "t")
            except StorageUnavailable:
                continue
            return


async def test_calls_fail_while_the_database_is_down(server: Server, url: str) -> None:
    """Each call ends within its time as StorageUnavailable; once the database is back, calls are served."""
    store = await PostgresTaskStore.open(url, wait_seconds=0.5)
    job = await stored(store, new_job(store.now()))
    server.stop()
    try:
        begun = time.monotonic()
        for _ in range(3):
            with pytest.raises(StorageUnavailable) as failure:
                await store.get(ANNA, job.task.id)
            assert (failure.value.code, failure.value.retry_after) == ("storage_unavailable", None)
            assert failure.value.detail == "no database reached within 0.5 s"
        assert time.monotonic() - begun < 10
        assert store.now() >= job.task.created_at
    finally:
        server.start()
    await _served_again(store)
    assert await store.get(ANNA, job.task.id) == job
    await store.aclose()


async def test_crashes_under_load_lose_nothing_acknowledged(server: Server, url: str) -> None:
    """The server crashes three times while twenty callers create jobs. Calls fail as StorageUnavailable or
    wait; what was acknowledged is there, each job whole, and all callers are served again."""
    store = await PostgresTaskStore.open(url)
    acknowledged: set[str] = set()
    rounds = [0] * _CALLERS
    finish = False

    async def call(caller: int) -> None:
        while not finish:
            job = new_job(store.now())
            try:
                await store.create(job.task, job.generation)
            except StorageUnavailable:
                continue
            acknowledged.add(job.task.id)
            rounds[caller] += 1

    async def all_served() -> None:
        seen = list(rounds)
        with anyio.fail_after(60):
            while any(now <= before for now, before in zip(rounds, seen, strict=True)):
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for caller in range(_CALLERS):
            tasks.start_soon(call, caller)
        for _ in range(3):
            await all_served()
            await anyio.to_thread.run_sync(server.crash)
        await all_served()
        finish = True
    database = url.partition("?")[0].rpartition("/")[2]
    kept = {row[0] for row in server.ask(database, "SELECT id FROM ttsorch.tasks")}
    assert acknowledged <= kept
    assert server.ask(database, _HALF_JOBS) == [(0,)]
    await store.aclose()
    check_nothing_is_left(server, database, store)


async def test_a_connection_that_was_closed_at_rest_fails_no_call(
    server: Server, database: str, url: str
) -> None:
    """The server, a pooler or a firewall may close what is idle: the next call takes another connection."""
    store = await PostgresTaskStore.open(url)
    await race(lambda _: store.get(ANNA, "t"), 10)
    server.ask(
        database,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = %s AND pid <> pg_backend_pid()",
        database,
    )
    assert await race(lambda _: store.get(ANNA, "t"), 10) == [None] * 10
    await store.aclose()


async def test_a_slow_statement_is_ended_by_the_server(
    server: Server, database: str, quick: PostgresTaskStore
) -> None:
    """A call that waits for a row too long fails; nothing of it is written, and its connection is good."""
    job = await stored(quick, new_job(quick.now()))
    with locked(server, database, job.task.id):
        with pytest.raises(StorageUnavailable) as failure:
            await quick.record_poll(ANNA, job.task.id)
        assert failure.value.detail == "QueryCanceled (57014)"
    assert await quick.get(ANNA, job.task.id) == job


async def test_a_silent_server_is_hung_up_on(
    server: Server, database: str, quick: PostgresTaskStore
) -> None:
    """When the server's process stands still, as behind a dead network, the call ends all the same."""
    await quick.get(ANNA, "t")
    mine = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    stopped = [pid for (pid,) in server.ask(database, mine, database)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with anyio.fail_after(20), pytest.raises(StorageUnavailable):
            await quick.get(ANNA, "t")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    await _served_again(quick)


async def test_a_busy_pool_says_so(server: Server, database: str, url: str) -> None:
    """Who waits too long for a connection fails fast, and hears that all are in use."""
    store = await PostgresTaskStore.open(url, pool_size=1, wait_seconds=0.2)
    job = await stored(store, new_job(store.now()))
    async with anyio.create_task_group() as tasks:
        with locked(server, database, job.task.id):
            tasks.start_soon(store.record_poll, ANNA, job.task.id)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(StorageUnavailable) as failure:
                await store.get(ANNA, job.task.id)
        assert failure.value.detail == "no connection free within 0.2 s"
    await store.aclose()


async def test_a_storm_of_cancellations_leaves_the_pool_whole(
    server: Server, database: str, url: str
) -> None:
    """Calls that are cancelled at every moment of their lives leave no connection out, and a write that
    was cancelled is whole or not there at all."""
    store = await PostgresTaskStore.open(url, pool_size=3)
    moments = count()

    async def cancelled_call(_: int) -> None:
        job = new_job(store.now())
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.create, job.task, job.generation)
                tasks.start_soon(store.get, ANNA, job.task.id)
                for _ in range(next(moments) % 60):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    for _ in range(10):
        await race(cancelled_call, 30)
    assert await race(lambda _: store.get(ANNA, "t"), 20) == [None] * 20
    await store.aclose()
    check_nothing_is_left(server, database, store)
    assert server.ask(database, _HALF_JOBS) == [(0,)]


async def test_aclose_waits_for_what_a_cancelled_call_began(
    server: Server, database: str, url: str
) -> None:
    """A write whose caller went away is finished before the connections are closed."""
    store = await PostgresTaskStore.open(url)
    job = new_job(store.now())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.create, job.task, job.generation)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    await store.aclose()
    assert server.ask(database, "SELECT id FROM ttsorch.tasks") == [(job.task.id,)]
    check_nothing_is_left(server, database, store)


async def test_a_database_that_became_read_only_is_left(server: Server, database: str) -> None:
    """After a failover the old primary takes no writes: its connections are given up, so that new ones can
    find the new primary."""
    only_reading = server.url(database, options="-c%20default_transaction_read_only%3Don")
    store = await PostgresTaskStore.open(only_reading, pool_size=1)
    mine = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    await store.get(ANNA, "t")
    before = server.ask(database, mine, database)
    job = new_job(store.now())
    with pytest.raises(StorageUnavailable) as failure:
        await store.create(job.task, job.generation)
    assert failure.value.detail == "ReadOnlySqlTransaction (25006)"
    await store.get(ANNA, "t")
    assert not set(before) & set(server.ask(database, mine, database))
    await store.aclose()
