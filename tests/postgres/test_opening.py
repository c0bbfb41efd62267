"""Opening a PostgreSQL store: its URL, what is refused and how, where it may be used."""

import logging
import subprocess
import sys
import traceback

import anyio
import psycopg
import pytest

from tests.postgres.server import Server
from ttsorch.errors import ConfigurationError, StorageUnavailable
from ttsorch.store import migrate_task_store, open_task_store
from ttsorch.store._postgres_errors import translated
from ttsorch.store._postgres_url import read_url
from ttsorch.store._sql import migrations
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.task_store_jobs import ANNA, new_job

pytestmark = pytest.mark.anyio

_SECRET = "hunter2"


async def test_the_url_opens_and_migrates(server: Server, empty_database: str) -> None:
    """open_task_store and migrate_task_store take postgresql:// and postgres://, and a clock."""
    url, clock = server.url(empty_database), ManualClock()
    store = await open_task_store(url.replace("postgresql", "postgres"), clock=clock)
    assert isinstance(store, PostgresTaskStore)
    assert store.now() == clock()
    await store.aclose()
    assert await migrate_task_store(url) == len(migrations("postgres"))


async def test_what_is_stored_outlives_the_store(url: str) -> None:
    """Another store on the same database finds it."""
    first = await PostgresTaskStore.open(url)
    job = new_job(first.now())
    await first.create(job.task, job.generation)
    await first.aclose()
    second = await PostgresTaskStore.open(url)
    assert await second.get(ANNA, job.task.id) == job
    await second.aclose()


def test_parameters_of_the_url() -> None:
    """pool_size and pooler are ours; the rest, encoded as it may be, goes to the driver as it is."""
    url = "postgresql://u:p%40s@a:1,b:2/d?pool_size=3&sslmode=require&pooler=true&options=-c%20a%3Db%2Bc"
    target = read_url(url, connect_seconds=7)
    assert (target.pool_size, target.pooler, target.options) == (3, True, "-c a=b+c")
    for part in ("host=a,b", "port=1,2", "password=p@s", "sslmode=require", "connect_timeout=7"):
        assert part in target.conninfo
    assert "keepalives_idle=10" in target.conninfo
    assert "pool_size" not in target.conninfo
    bare = read_url("postgres://h/d?connect_timeout=3", connect_seconds=7)
    assert (bare.pool_size, bare.pooler, bare.options) == (10, None, "")
    assert "connect_timeout=3" in bare.conninfo
    won = read_url(url, connect_seconds=7, pool_size=1, pooler=False)
    assert (won.pool_size, won.pooler) == (1, False)
    assert "p@s" not in repr(won)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{_SECRET}@h:{_SECRET}/d?nonsense={_SECRET}",
        f"postgresql://u:{_SECRET}%zz@h/d",
        f"postgresql://u:{_SECRET}@h/d?pool_size={_SECRET}",
        f"postgresql://u:{_SECRET}@h/d?pool_size=0",
        f"postgresql://u:{_SECRET}@h/d?pooler={_SECRET}",
        f"postgresql://u:{_SECRET}@h/d?{_SECRET}",
        f"postgresqlx://u:{_SECRET}@h/d",
        f"host=h password={_SECRET}",
    ],
)
async def test_other_urls_are_refused(url: str) -> None:
    """The error says what is expected; nothing of the URL is in it, nor in its traceback."""
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host") as refusal:
        await PostgresTaskStore.open(url)
    assert _SECRET not in "".join(traceback.format_exception_only(refusal.value))
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    assert _SECRET not in f"{refusal.value} {refusal.value.detail}"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/d", "connection refused"),
        ("postgresql://u:hunter2@/d?host=/nowhere", "no server listens on the socket"),
        ("postgresql://u:xx@hunter2@host.invalid/d", "the host has no address"),
        ("SERVER/postgres?user=hunter2", "there is no such database or role"),
        ("SERVER/hunter2?user=postgres", "there is no such database or role"),
    ],
)
async def test_a_database_that_is_not_there(
    server: Server, address: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The detail says why, in words of ours: the driver's may hold a part of a badly encoded password."""
    caplog.set_level(logging.DEBUG)
    base, _, query = address.partition("?")
    if base.startswith("SERVER"):
        address = f"postgresql://{base.removeprefix('SERVER')}?{query}&host={server.socket_folder}"
    with pytest.raises(StorageUnavailable) as failure:
        await open_task_store(address)
    assert failure.value.detail == reason
    assert _SECRET not in f"{failure.value} {failure.value.detail} {caplog.text}"


async def test_a_database_in_another_encoding_is_refused(server: Server) -> None:
    """Where not every text can be stored, none is."""
    name = "test_latin"
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    server.ask("postgres", create)
    try:
        with pytest.raises(ConfigurationError, match="UTF8"):
            await PostgresTaskStore.open(server.url(name))
    finally:
        server.drop_database(name)


def test_trio_is_refused(url: str) -> None:
    """With a sentence, not with a crash inside of the driver."""
    with pytest.raises(ConfigurationError, match="asyncio"):
        anyio.run(open_task_store, url, backend="trio")


def test_another_event_loop_is_refused(url: str) -> None:
    """A pool belongs to one loop; a call from another fails instead of waiting for ever."""

    async def elsewhere(store: PostgresTaskStore) -> str:
        with anyio.fail_after(5), pytest.raises(StorageUnavailable) as refusal:
            await store.get(ANNA, "t")
        return refusal.value.code

    async def main() -> str:
        store = await PostgresTaskStore.open(url)
        code = await anyio.to_thread.run_sync(anyio.run, elsewhere, store)
        await store.aclose()
        return code

    assert anyio.run(main) == "wrong_event_loop"


def test_a_forked_process_is_told_that_the_store_is_closed(url: str) -> None:
    """A connection can't be shared between processes: a call in the child fails clearly."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.postgres.child_process", "fork", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output == "store_closed\n"


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
async def test_what_no_row_can_hold_is_not_found_or_refused(
    store: PostgresTaskStore, text: str
) -> None:
    """NUL and lone surrogates are refused long before; if one gets here, the error is one of ours."""
    for call in (
        lambda: store.get(ANNA, text),
        lambda: store.find_by_key(text, "key"),
        lambda: store.list_generations(ANNA, search=text),
        lambda: store.list_tasks(ANNA, before=(store.now(), text)),
        lambda: store.unreferenced([text]),
    ):
        with pytest.raises(StorageUnavailable) as refusal:
            await call()
        assert text not in f"{refusal.value} {refusal.value.detail}"


@pytest.mark.parametrize(
    ("raised", "detail"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (psycopg.OperationalError(f"of an unheard-of kind: {_SECRET}"), "OperationalError"),
        (psycopg.errors.UniqueViolation(f"Key (id)=({_SECRET})"), "UniqueViolation (23505)"),
    ],
)
def test_what_the_driver_raises_becomes_one_of_our_errors(raised: Exception, detail: str) -> None:
    """A word that tells an operator what it was, and nothing of a message that may quote anything."""
    with pytest.raises(StorageUnavailable) as failure, translated():
        raise raised
    assert (failure.value.__cause__, _SECRET in str(failure.value.detail)) == (raised, False)
    assert detail in str(failure.value.detail)


def test_importing_the_package_imports_no_driver() -> None:
    """Who doesn't use PostgreSQL doesn't pay for importing psycopg."""
    code = "import sys, ttsorch, ttsorch.store; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an ImportError from somewhere inside."""
    for module in [name for name in sys.modules if name.startswith("ttsorch.store.postgres")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "ttsorch.store._postgres_pool", None)
    monkeypatch.delitem(sys.modules, "ttsorch.store._postgres_schema", raising=False)
    for call in (open_task_store, migrate_task_store):
        with pytest.raises(ConfigurationError, match=r"ttsorch\[postgres\]") as refusal:
            anyio.run(call, "postgresql://h/d")
        assert refusal.value.code == "extra_missing"


async def test_a_password_is_in_no_traceback() -> None:
    """Nor a part of it that was taken for a host, even where a host application logs all causes."""
    badly_encoded = "postgresql://u:xx@" + _SECRET + "@h.invalid/d"
    with pytest.raises(StorageUnavailable) as failure:
        await PostgresTaskStore.open(badly_encoded)
    logged = traceback.format_exception(failure.value)
    assert _SECRET not in "".join(line for line in logged if not line.lstrip().startswith("File"))
