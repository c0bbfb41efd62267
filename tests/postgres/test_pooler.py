"""PostgreSQL behind a transaction pooler: PgBouncer, each statement on whichever connection is free."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.postgres.pgbouncer import PGBOUNCER, running_pooler
from tests.postgres.server import Server, locked
from tests.postgres.test_migrations import use
from ttsorch.errors import ActiveJobLimit, StorageUnavailable
from ttsorch.models import Limits
from ttsorch.store._sql import migrations
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import ANNA, new_job, race, stored

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(PGBOUNCER is None, reason="needs PgBouncer: apt-get install pgbouncer"),
]

_CALLERS = 50
_CALLS = 10_000


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[str]:
    with running_pooler(server) as folder:
        yield folder


def _through(pooler: str, database: str, **parameters: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in parameters.items())
    return f"postgresql://postgres@/{database}?host={pooler}&port=6432{more}"


@pytest.fixture
async def pooled(pooler: str, database: str) -> AsyncIterator[PostgresTaskStore]:
    """Nothing in the URL says that a pooler is there."""
    opened = await PostgresTaskStore.open(_through(pooler, database), pool_size=20)
    yield opened
    await opened.aclose()


async def test_a_pooler_is_found_out(url: str, pooler: str, database: str) -> None:
    """Without a word in the URL; and what the URL says goes first."""
    for where, expected in (
        (url, False),
        (_through(pooler, database), True),
        (f"{url}&pooler=true", True),
    ):
        store = await PostgresTaskStore.open(where)
        assert store._pool._pooled is expected
        await use(store)
        await store.aclose()


async def test_ten_thousand_calls_without_an_error(pooled: PostgresTaskStore) -> None:
    """Statements of all kinds, fifty at once over five server connections."""
    jobs = [await stored(pooled, new_job(pooled.now())) for _ in range(_CALLERS)]

    async def call(number: int) -> int:
        task_id, calls = jobs[number].task.id, 0
        while calls < _CALLS // _CALLERS:
            for _ in range(7):
                assert await pooled.record_poll(ANNA, task_id) is not None
            assert await pooled.get(ANNA, task_id) is not None
            assert not await pooled.renew(task_id, fence=9, lease_seconds=1)
            await pooled.claim_due(limit=2, hold_seconds=0)
            calls += 10
        return calls

    assert sum(await race(call, _CALLERS)) == _CALLS


async def test_nothing_is_shared_behind_a_pooler(
    server: Server, database: str, pooled: PostgresTaskStore
) -> None:
    """Calls of one moment have a transaction each: what a pooler does with several at once isn't known."""
    jobs = [new_job(pooled.now()) for _ in range(10)]
    await race(lambda number: pooled.create(jobs[number].task, jobs[number].generation), 10)
    wrote = "SELECT count(DISTINCT xmin::text) FROM ttsorch.tasks"
    assert server.ask(database, wrote) == [(10,)]


async def test_the_limit_holds_behind_a_pooler(pooled: PostgresTaskStore) -> None:
    """The lock that makes creates take turns is let go with its transaction: 5 of 64, twice in a row."""

    limits = Limits(active_per_owner=5, submits_per_minute=64, in_flight_per_provider=64)

    async def submit(owner: str) -> bool:
        job = new_job(pooled.now(), owner=owner)
        try:
            await pooled.create(job.task, job.generation, limits=limits)
        except ActiveJobLimit:
            return False
        return True

    for owner in ("first", "second"):
        assert sum(await race(lambda _, owner=owner: submit(owner), 64)) == 5  # type: ignore[misc]


async def test_statements_are_bounded_behind_a_pooler(
    server: Server, pooler: str, database: str
) -> None:
    """A pooler takes no settings at the start, so each statement brings its own limit, which it leaves to
    nobody."""
    store = await PostgresTaskStore.open(_through(pooler, database), statement_seconds=0.3)
    job = await stored(store, new_job(store.now()))
    with locked(server, database, job.task.id), pytest.raises(StorageUnavailable) as failure:
        await store.record_poll(ANNA, job.task.id)
    assert failure.value.detail == "QueryCanceled (57014)"
    assert await store.get(ANNA, job.task.id) == job
    await store.aclose()


async def test_ten_stores_migrate_through_a_pooler(
    server: Server, pooler: str, empty_database: str
) -> None:
    """One migration, no error, and nothing prepared or locked that outlives its transaction."""
    url = _through(pooler, empty_database)
    stores = await race(lambda _: PostgresTaskStore.open(url, pool_size=1), 10)
    for store in stores:
        await store.aclose()
    assert server.ask(empty_database, "SELECT count(*) FROM ttsorch.migrations") == [
        (len(migrations("postgres")),)
    ]
    assert server.ask(
        empty_database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    ) == [(0,)]
