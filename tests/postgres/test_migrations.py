"""The schema on PostgreSQL: migrated once by whoever comes first, and never from under running code."""

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import anyio
import psycopg
import pytest

from tests.postgres.server import Server
from ttsorch.errors import SchemaTooNew, StorageUnavailable
from ttsorch.models import Effect, EffectState, Limits, Purged, TaskKind
from ttsorch.store import _postgres_schema as schema
from ttsorch.store import migrate_task_store
from ttsorch.store._sql import migrations
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    audio_key,
    claimed,
    completed,
    generation_of,
    ids,
    new_job,
    race,
    stored,
)
from ttsorch.testing.voice_store import new_voice

pytestmark = pytest.mark.anyio

_STARTERS = 10
_KNOWN = len(migrations("postgres"))
_INSERT = "INSERT INTO ttsorch.migrations (version, readable_from) VALUES ({}, {});"
_LIMITS = Limits(active_per_owner=1000, submits_per_minute=1000, in_flight_per_provider=1000)
_VERSIONS = "SELECT version FROM ttsorch.migrations ORDER BY version"

#: What a later version may do while this one runs: add. Every kind of addition is here.
_EXPANSION = """
ALTER TABLE ttsorch.tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ttsorch.generations ADD COLUMN note TEXT;
ALTER TABLE ttsorch.voices ADD COLUMN note TEXT;
ALTER TABLE ttsorch.effects ADD COLUMN note TEXT;
ALTER TABLE ttsorch.migrations ADD COLUMN note TEXT;
CREATE TABLE ttsorch.notes (id TEXT PRIMARY KEY, task_id TEXT NOT NULL);
CREATE INDEX tasks_priority ON ttsorch.tasks (priority, next_action_at) WHERE next_action_at IS NOT NULL;
"""
#: What breaks code that is running, and so needs a readable_from of the migration's own version.
_CONTRACTIONS = (
    r"\bDROP\b",
    r"\bRENAME\b",
    r"\bALTER COLUMN\b",
    r"\bADD COLUMN\b(?=[^,;]*\bNOT NULL\b)(?![^,;]*\bDEFAULT\b)",
    r"\bADD CONSTRAINT\b",
    r"\bCREATE UNIQUE\b",
)


async def use(store: PostgresTaskStore) -> None:
    """Every statement of the store, once."""
    job = new_job(store.now(), idempotency_key=f"key {store.now()}")
    await store.create(job.task, job.generation, limits=_LIMITS)
    assert await store.create(job.task, job.generation) == job
    assert await store.find_by_key(ANNA, job.task.idempotency_key or "") == job
    assert job.task.id in ids(await store.claim_due(limit=1000, hold_seconds=60))
    begun = await claimed(store, job)
    assert begun is not None
    assert await store.renew(job.task.id, fence=begun.task.fence, lease_seconds=60)
    polled = await store.record_poll(ANNA, job.task.id)
    assert polled is not None
    later = completed(await stored(store, new_job(store.now())), store.now())
    effect = Effect(
        key=later.task.id,
        owner=ANNA,
        task_id=later.task.id,
        status=later.task.status,
        created_at=store.now(),
        due_at=store.now(),
    )
    assert await store.replace(later.task, later.generation, expected_version=1, effect=effect)
    (held,) = await store.claim_effects(limit=1, hold_seconds=60)
    told = replace(held, attempts=1, due_at=None, state=EffectState.DELIVERED)
    assert await store.write_effect(told)
    assert told in await store.list_effects(EffectState.DELIVERED, limit=1000)
    assert await store.get(ANNA, later.task.id) == later
    listed = await store.list_tasks(ANNA, kind=TaskKind.GENERATE, active=False, limit=1000)
    assert later.task.id in ids(listed)
    assert job.task.id in ids(await store.list_tasks(ANNA, active=True, limit=1000))
    assert job.task.id not in ids(await store.list_unknown(limit=1000))
    assert (await store.list_generations(ANNA, search="hello")).total > 0
    assert await store.unreferenced([audio_key(later)]) == []
    assert await store.get_generation(ANNA, generation_of(later).id) == later.generation
    assert await store.delete_generation(ANNA, generation_of(later).id)
    assert await store.delete_task(ANNA, later.task.id)
    assert await store.put_aside(
        job.task.id,
        expected_version=begun.task.version,
        reason="KeyError",
        hold_seconds=1,
        most_seconds=2,
    )
    assert job.task.id in [stuck.id for stuck in await store.list_stuck(limit=1000)]
    assert await store.pause_provider("fake", seconds=60, reason="busy") is not None
    assert [pause.provider for pause in await store.list_pauses()] == ["fake"]
    assert await store.end_pause("fake")
    voice = new_voice(store.now())
    assert await store.add_voice(voice)
    assert await store.get_voice(ANNA, voice.id) == voice
    assert (await store.list_voices(ANNA, search="vera")).total > 0
    assert await store.delete_voice(ANNA, voice.id)
    assert job.task.id in ids(await store.list_unsettled(ANNA, limit=1000))
    assert await store.purge_ended(older_than=3600, limit=10) == Purged()
    assert await store.purge_owned(BEN, limit=10) == Purged()


def _pretend(server: Server, database: str, version: int, readable_from: int) -> None:
    server.ask(
        database,
        "INSERT INTO ttsorch.migrations (version, readable_from) VALUES (%s, %s)",
        version,
        readable_from,
    )


async def test_ten_stores_that_open_an_empty_database_at_once(
    server: Server, empty_database: str
) -> None:
    """One migrates, nine wait for it, and all can be used."""
    url = server.url(empty_database)
    stores = await race(lambda _: PostgresTaskStore.open(url, pool_size=1), _STARTERS)
    for store in stores:
        await use(store)
        await store.aclose()
    assert server.ask(empty_database, _VERSIONS) == [(n + 1,) for n in range(_KNOWN)]


def test_ten_processes_that_migrate_at_once(server: Server, empty_database: str) -> None:
    """However many processes start together on an empty database: one migration, no error."""
    module = "tests.postgres.child_process"
    command = [sys.executable, "-W", "ignore", "-m", module, "migrate", server.url(empty_database)]
    starters = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(_STARTERS)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    versions = [starter.communicate(timeout=60)[0].strip() for starter in starters]
    assert {starter.returncode for starter in starters} == {0}
    assert set(versions) == {str(_KNOWN)}
    assert server.ask(empty_database, _VERSIONS) == [(n + 1,) for n in range(_KNOWN)]


async def test_migrating_again_changes_nothing(server: Server, empty_database: str) -> None:
    """The version is the same, and no lock is taken: a start never waits for a long migration elsewhere."""
    url = server.url(empty_database)
    assert await migrate_task_store(url) == _KNOWN
    assert await migrate_task_store(url) == _KNOWN


async def test_a_migration_that_fails_leaves_nothing(
    server: Server, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is taken back; after it was mended it runs."""
    scripts = migrations("postgres")
    broken = [*scripts, "CREATE TABLE ttsorch.half (id TEXT); SELECT 1 / 0;"]
    monkeypatch.setattr(schema, "_MIGRATIONS", broken)
    url = server.url(empty_database)
    with pytest.raises(StorageUnavailable) as failure:
        await migrate_task_store(url)
    assert failure.value.detail == "DivisionByZero (22012)"
    assert server.ask(empty_database, "SELECT to_regclass('ttsorch.half')") == [(None,)]
    monkeypatch.setattr(schema, "_MIGRATIONS", scripts)
    assert await migrate_task_store(url) == _KNOWN


async def test_running_code_survives_an_expansion(server: Server, empty_database: str) -> None:
    """A store that has prepared its statements goes on while a newer version adds to its tables."""
    store = await PostgresTaskStore.open(server.url(empty_database), pool_size=1)
    for _ in range(7):  # the driver prepares a statement at its sixth use
        await use(store)
    server.ask(empty_database, _EXPANSION)
    _pretend(server, empty_database, _KNOWN + 1, readable_from=_KNOWN)
    for _ in range(7):
        await use(store)
    await store.aclose()


async def test_old_code_starts_on_an_expanded_schema(server: Server, empty_database: str) -> None:
    """While a newer version is rolled out, a process of this one can be restarted."""
    url = server.url(empty_database)
    await migrate_task_store(url)
    server.ask(empty_database, _EXPANSION)
    _pretend(server, empty_database, _KNOWN + 1, readable_from=_KNOWN)
    assert await migrate_task_store(url) == _KNOWN + 1
    store = await PostgresTaskStore.open(url)
    await use(store)
    await store.aclose()


async def test_a_contracted_schema_is_refused(server: Server, empty_database: str) -> None:
    """When a newer version has taken away what this one needs, it says so at the start."""
    url = server.url(empty_database)
    await migrate_task_store(url)
    _pretend(server, empty_database, _KNOWN + 2, readable_from=_KNOWN + 1)
    for call in (migrate_task_store, PostgresTaskStore.open):
        with pytest.raises(SchemaTooNew, match=f"schema version {_KNOWN + 2}.*Upgrade ttsorch"):
            await call(url)


async def test_a_migration_does_not_wait_for_ever(
    server: Server, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that a long transaction holds makes the migration fail, and hold up nobody behind it."""
    url = server.url(empty_database)
    await migrate_task_store(url)
    later = f"ALTER TABLE ttsorch.tasks ADD COLUMN note TEXT; {_inserts(_KNOWN + 1)}"
    monkeypatch.setattr(schema, "_MIGRATIONS", [*migrations("postgres"), later])
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.1)
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE ttsorch.tasks IN ACCESS SHARE MODE")
        with anyio.fail_after(20), pytest.raises(StorageUnavailable) as failure:
            await migrate_task_store(url)
    assert failure.value.detail == "LockNotAvailable (55P03)"
    assert await migrate_task_store(url) == _KNOWN + 1


def _inserts(version: int) -> str:
    return _INSERT.format(version, _KNOWN)


def offences(scripts: Sequence[str]) -> list[str]:
    """The migrations that contract without saying so, or don't say their version."""
    found = []
    for number, script in enumerate(scripts, start=1):
        code = re.sub(r"--.*", "", script)
        says = re.search(r"INSERT INTO ttsorch\.migrations .*VALUES \((\d+), (\d+)\);\s*$", code)
        if says is None or int(says[1]) != number:
            found.append(f"{number}: says no version, or another")
        elif number > 1 and int(says[2]) != number:
            found += [
                f"{number}: {rule}"
                for rule in _CONTRACTIONS
                if re.search(rule, code, re.IGNORECASE)
            ]
    return found


def test_migrations_expand_or_say_that_they_contract() -> None:
    """A migration that takes away what running code needs has to raise readable_from."""
    assert offences(migrations("postgres")) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE ttsorch.tasks DROP COLUMN word;",
        "ALTER TABLE ttsorch.tasks RENAME word TO state;",
        "ALTER TABLE ttsorch.tasks ADD COLUMN a TEXT NOT NULL;",
        "ALTER TABLE ttsorch.tasks ALTER COLUMN word SET NOT NULL;",
        "CREATE UNIQUE INDEX i ON ttsorch.tasks (word);",
    ],
)
def test_the_rule_finds_a_contraction(change: str) -> None:
    """The check above is not blind, and accepts what adds only, or admits to contract."""
    first = migrations("postgres")[0]
    addition = "CREATE INDEX i ON ttsorch.tasks (word);"
    expands, contracts = _INSERT.format(2, 1), _INSERT.format(2, 2)
    assert offences([first, change + expands]) != []
    assert offences([first, change + contracts]) == []
    assert offences([first, addition + expands]) == []
    assert offences([first, addition]) != []
