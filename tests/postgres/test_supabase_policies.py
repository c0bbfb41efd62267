"""The SQL of ``docs/supabase.md`` on a real server: the store works under it, and a reader sees one owner."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import psycopg
import pytest

from tests.postgres.conftest import check_nothing_is_left
from tests.postgres.pgbouncer import PGBOUNCER, running_pooler
from tests.postgres.server import Server
from ttsorch.store import migrate_task_store
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store import TaskStoreSuite
from ttsorch.testing.task_store_jobs import new_job, race
from ttsorch.testing.voice_store import VoiceStoreSuite

PAGE = Path(__file__).parents[2] / "docs" / "supabase.md"
EMPTY = (
    "TRUNCATE ttsorch.tasks, ttsorch.generations, ttsorch.voices, ttsorch.effects, ttsorch.pauses"
)
OWNERS = {
    "tasks": "SELECT owner FROM ttsorch.tasks",
    "generations": "SELECT owner FROM ttsorch.generations",
}
#: What Supabase's function of that name does, as far as a policy sees it.
UID = """
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
        SELECT nullif(current_setting('request.jwt.claim.sub', true), '')::uuid
    $$
"""


def sql_of_the_page() -> list[str]:
    """Its blocks of SQL, in order: the policies, a reader's transaction, the API's policy."""
    return re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def secured(server: Server) -> Iterator[str]:
    """A migrated database with the page's roles and policies. Roles are the whole server's, so it is one
    database for this module."""
    name = server.new_database()
    anyio.run(migrate_task_store, server.url(name))
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        connection.execute(sql_of_the_page()[0].encode())
    yield name
    server.drop_database(name)
    for role in ("ttsorch_store", "ttsorch_reader"):
        server.ask("postgres", f"DROP ROLE {role}")


@pytest.fixture
def database(server: Server, secured: str) -> str:
    server.ask(secured, EMPTY)
    return secured


def _as(role: str, url: str) -> str:
    return url.replace("postgres@", f"{role}@", 1)


@pytest.fixture
async def store(
    server: Server, database: str, clock: ManualClock
) -> AsyncIterator[PostgresTaskStore]:
    opened = await PostgresTaskStore.open(_as("ttsorch_store", server.url(database)), clock=clock)
    yield opened
    await opened.aclose()
    check_nothing_is_left(server, database, opened)


class TestStoreUnderPolicies(TaskStoreSuite):
    """The store's own role, which no policy hides anything from."""


class TestVoicesUnderPolicies(VoiceStoreSuite):
    """As above."""


@pytest.mark.anyio
async def test_owners_who_share_a_commit_share_nothing_else(
    server: Server, database: str, store: PostgresTaskStore
) -> None:
    """Under the policies, calls of four owners in one transaction: each gets and changes its own row, and
    finds none of the others'."""
    jobs = [new_job(store.now(), owner=owner) for owner in ("ann", "bob", "carl", "dora")]

    async def create(number: int) -> object:
        return await store.create(jobs[number].task, jobs[number].generation)

    async def poll(number: int) -> str | None:
        owner, job = jobs[number % 4].task.owner, jobs[number // 4]
        polled = await store.record_poll(owner, job.task.id)
        return None if polled is None else polled.task.owner

    assert await race(create, 4) == jobs
    seen = await race(poll, 16)
    assert seen == ["ann", *[None] * 4, "bob", *[None] * 4, "carl", *[None] * 4, "dora"]
    wrote = "SELECT count(DISTINCT xmin::text), sum(poll_count) FROM ttsorch.tasks"
    assert server.ask(database, wrote) == [(1, 4)]


@pytest.fixture
async def of_two(store: PostgresTaskStore) -> PostgresTaskStore:
    """A task and a generation each of Ann and of Bob."""
    for owner in ("ann", "bob"):
        job = new_job(store.now(), owner=owner)
        await store.create(job.task, job.generation)
    return store


def _owners(connection: psycopg.Connection, owner: str | None) -> dict[str, set[str]]:
    """Whose rows one transaction of a reader sees, by table."""
    with connection.transaction():
        if owner is not None:
            connection.execute("SELECT set_config('ttsorch.owner', %s, true)", (owner,))
        return {
            table: {row[0] for row in connection.execute(select.encode())}
            for table, select in OWNERS.items()
        }


@pytest.mark.anyio
@pytest.mark.usefixtures("of_two")
async def test_a_reader_sees_the_owner_of_its_transaction(server: Server, database: str) -> None:
    """Two tenants in turns on one connection; who sets nobody sees nothing, also after somebody."""
    with psycopg.connect(_as("ttsorch_reader", server.url(database)), autocommit=True) as reader:
        for owner in (None, "ann", "bob", None, "", "ann", "carl", None):
            expected = {owner} if owner in ("ann", "bob") else set()
            assert _owners(reader, owner) == {"tasks": expected, "generations": expected}


@pytest.mark.anyio
@pytest.mark.usefixtures("of_two")
@pytest.mark.skipif(PGBOUNCER is None, reason="needs PgBouncer: apt-get install pgbouncer")
async def test_an_owner_does_not_outlive_its_transaction_in_a_pooler(
    server: Server, database: str
) -> None:
    """Whoever is given the server connection next inherits nothing."""
    with running_pooler(server) as folder:
        url = f"postgresql://postgres@/{database}?host={folder}&port=6432"
        connections = [
            psycopg.connect(url, autocommit=True, prepare_threshold=None) for _ in range(8)
        ]
        for turn in range(40):
            connection = connections[turn % 8]
            owner = ("ann", "bob", None)[turn % 3]
            expected = set() if owner is None else {owner}
            with connection.transaction():
                # The pooler of the tests logs in as one user for all.
                connection.execute("SET LOCAL ROLE ttsorch_reader")
                seen = _owners(connection, owner)
            assert seen == {"tasks": expected, "generations": expected}
        for connection in connections:
            connection.close()


@pytest.mark.anyio
@pytest.mark.usefixtures("of_two")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ttsorch.generations SET text = 'mine'",
        "DELETE FROM ttsorch.tasks",
        "INSERT INTO ttsorch.migrations (version, readable_from) VALUES (99, 1)",
        "SELECT * FROM ttsorch.migrations",
    ],
)
async def test_a_reader_only_reads(server: Server, database: str, statement: str) -> None:
    """A row that a browser can write is a charge that a browser can make."""
    with (
        psycopg.connect(_as("ttsorch_reader", server.url(database)), autocommit=True) as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute(statement.encode())


@pytest.mark.anyio
async def test_a_hidden_task_is_hidden_from_readers_too(
    of_two: PostgresTaskStore, server: Server, database: str
) -> None:
    """A deleted task keeps its row, which is nobody's to see."""
    (job,) = await of_two.list_tasks("ann")
    assert await of_two.delete_task("ann", job.task.id)
    with psycopg.connect(_as("ttsorch_reader", server.url(database)), autocommit=True) as reader:
        assert _owners(reader, "ann")["tasks"] == set()


@pytest.mark.anyio
@pytest.mark.usefixtures("of_two")
async def test_a_page_sees_the_owner_of_its_token(server: Server, database: str) -> None:
    """Supabase's ``auth.uid()`` reads the claims of a request; here it reads the same setting."""
    ann = "0f1e2d3c-0000-4000-8000-000000000001"
    server.ask(database, "UPDATE ttsorch.generations SET owner = %s WHERE owner = 'ann'", ann)
    with psycopg.connect(server.url(database), autocommit=True) as admin:
        admin.execute("CREATE ROLE authenticated LOGIN")
        try:
            admin.execute("CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO authenticated")
            admin.execute(UID.encode())
            admin.execute(sql_of_the_page()[2].encode())
            page = _as("authenticated", server.url(database))
            with psycopg.connect(page) as connection:
                connection.execute("SELECT set_config('request.jwt.claim.sub', %s, true)", (ann,))
                seen = connection.execute("SELECT owner FROM ttsorch.generations").fetchall()
            assert seen == [(ann,)]
        finally:
            admin.execute("DROP OWNED BY authenticated; DROP ROLE authenticated")
            admin.execute("DROP SCHEMA IF EXISTS auth CASCADE")
