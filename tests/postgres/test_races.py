"""Two workers, each with a pool of its own, on the same rows at the same time."""

import anyio
import psycopg
import pytest

from tests.postgres.server import Server, locked
from ttsorch.errors import ActiveJobLimit, ProviderBusy, SubmitRateLimit
from ttsorch.models import NO_LIMITS, Job, Limits
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.fakes import FakeJobProvider
from ttsorch.testing.speech import a_request
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    cancelled,
    ids,
    new_job,
    race,
    running,
    started,
    stored,
)

pytestmark = pytest.mark.anyio

_SUBMITS = 64
_LIMIT = 5
_LIMITS = Limits(active_per_owner=_LIMIT)

#: An insert waits where it has already looked at the other rows.
_PAUSED_INSERTS = [
    """
    CREATE FUNCTION ttsorch.pause() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER pause BEFORE INSERT ON ttsorch.tasks
    FOR EACH ROW EXECUTE FUNCTION ttsorch.pause()
    """,
]


async def test_racing_submits_stay_within_the_limit(workers: list[PostgresTaskStore]) -> None:
    """Of 64 submits at once at a limit of 5, spread over two workers and with keys that repeat, exactly 5
    jobs are made: for each owner, and without a deadlock."""
    made: dict[str, set[str]] = {ANNA: set(), BEN: set()}

    async def submit(number: int) -> None:
        owner = (ANNA, BEN)[number // 2 % 2]
        key = f"key-{number // 8}" if number % 8 == 0 else None
        job = new_job(workers[0].now(), owner=owner, idempotency_key=key)
        store = workers[number % 2]
        try:
            found = await store.create(job.task, job.generation, limits=_LIMITS)
        except ActiveJobLimit:
            return
        made[owner].add(found.task.id)

    await race(submit, 2 * _SUBMITS)
    for owner, accepted in made.items():
        assert len(accepted) == _LIMIT
        assert set(ids(await workers[0].list_tasks(owner, limit=100))) == accepted


@pytest.mark.parametrize(
    ("limits", "owners"),
    [
        (_LIMITS, 1),
        (Limits(submits_per_minute=_LIMIT), 1),
        (Limits(in_flight_per_provider=_LIMIT), _SUBMITS),
        (Limits(active_per_owner=3, in_flight_per_provider=_LIMIT), 2),
    ],
)
async def test_submits_that_are_all_in_the_middle_of_it_stay_within_the_limit(
    server: Server, empty_database: str, limits: Limits, owners: int
) -> None:
    """However many are between the count and the insert at one moment: only one ever is."""
    store = await PostgresTaskStore.open(server.url(empty_database))
    await race(lambda _: store.get(ANNA, "t"), 100)  # so that all ten connections are there
    for statement in _PAUSED_INSERTS:
        server.ask(empty_database, statement)

    async def submit(number: int) -> bool:
        job = new_job(store.now(), owner=f"owner {number % owners}")
        try:
            await store.create(job.task, job.generation, limits=limits)
        except (ActiveJobLimit, SubmitRateLimit, ProviderBusy):
            return False
        return True

    made: list[bool] = []

    async def submit_all() -> None:
        made.extend(await race(submit, _SUBMITS))

    with psycopg.connect(server.url(empty_database)) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(1)")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit_all)
            await _until_waiting(server, empty_database, 10)
            holder.commit()
    assert sum(made) == _LIMIT
    await store.aclose()


async def test_a_place_that_comes_free_is_given_once(workers: list[PostgresTaskStore]) -> None:
    """When one of five ends, exactly one of many submits at once takes its place."""
    store = workers[0]
    jobs = [await stored(store, new_job(store.now()), running) for _ in range(_LIMIT)]
    gone = cancelled(jobs[0], store.now())
    assert await store.replace(gone.task, gone.generation, expected_version=jobs[0].task.version)

    async def submit(number: int) -> bool:
        job = new_job(store.now())
        try:
            await workers[number % 2].create(job.task, job.generation, limits=_LIMITS)
        except ActiveJobLimit:
            return False
        return True

    assert sum(await race(submit, 20)) == 1


async def test_racing_creates_with_one_key_on_two_workers(
    workers: list[PostgresTaskStore],
) -> None:
    """All get the same job, whichever worker they ask, with a limit or without one."""
    jobs = [new_job(workers[0].now(), idempotency_key="key") for _ in range(40)]

    async def create(number: int) -> str:
        job, limits = jobs[number], _LIMITS if number % 3 else NO_LIMITS
        found = await workers[number % 2].create(job.task, job.generation, limits=limits)
        return found.task.id

    assert len(set(await race(create, 40))) == 1
    assert len(await workers[0].list_tasks(ANNA)) == 1


async def test_a_poll_that_waited_answers_with_one_moment(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """A poll that had to wait for its row shows task and generation in step, as they are then."""
    first = await stored(workers[0], new_job(workers[0].now()))
    second = await stored(workers[0], new_job(workers[0].now()), running)
    begun, done = started(first, workers[0].now()), cancelled(second, workers[0].now())
    answers: list[Job | None] = []

    async def poll(task_id: str) -> None:
        answers.append(await workers[1].record_poll(ANNA, task_id))

    for before, after, count in ((first, begun, 1), (second, done, 0)):
        with locked(server, database, before.task.id) as connection:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(poll, before.task.id)
                await _until_waiting(server, database, 1)
                # The row is written by its lock's holder, so that the poll finds it changed.
                assert after.generation is not None
                connection.execute(
                    "UPDATE ttsorch.tasks SET phase = %s, active = %s, version = version + 1 WHERE id = %s",
                    (after.task.phase.value, not after.task.status.terminal, before.task.id),
                )
                connection.execute(
                    "UPDATE ttsorch.generations SET status = %s WHERE id = %s",
                    (after.generation.status.value, after.generation.id),
                )
                connection.commit()
        answer = answers.pop()
        assert answer is not None
        assert answer.generation is not None
        assert answer.task.phase is after.task.phase
        assert answer.generation.status is answer.task.status
        assert answer.task.poll_count == count


async def test_a_deadlock_is_survived(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """Somebody else's transaction takes the rows in the other order. PostgreSQL ends ours, which is then
    run again as a whole."""
    job = await stored(workers[0], new_job(workers[0].now()))
    later = started(job, workers[0].now())
    answers: list[bool] = []

    async def write() -> None:
        answers.append(await workers[0].replace(later.task, later.generation, expected_version=1))

    with psycopg.connect(server.url(database)) as other:
        # This one waits longer before it looks for a deadlock, so that it is ours that is ended.
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("SELECT 1 FROM ttsorch.generations FOR UPDATE")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await _until_waiting(server, database, 1)
            lock = "SELECT 1 FROM ttsorch.tasks FOR UPDATE"
            await anyio.to_thread.run_sync(other.execute, lock)
            other.commit()
    assert answers == [True]
    assert await workers[1].get(ANNA, job.task.id) == later


async def _until_waiting(server: Server, database: str, sessions: int) -> None:
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    )
    while server.ask(database, waiting, database)[0][0] < sessions:
        await anyio.lowlevel.checkpoint()


async def test_200_polls_share_five_connections(url: str) -> None:
    """While 200 polls wait for their provider, none of them holds a connection: the pool of 5 is free."""
    store = await PostgresTaskStore.open(url, pool_size=5, wait_seconds=5)
    provider = FakeJobProvider(checks_until_ready=5)
    begun, go_on = [0], anyio.Event()

    def pause(call: str) -> anyio.Event | None:
        if call != "check":
            return None
        begun[0] += 1
        return go_on

    async with Orchestrator(
        provider=provider, tasks=store, voices=store, blobs=MemoryBlobStore(), background=False
    ) as tts:
        request = a_request("Hello.", provider.name)
        jobs = [await tts.submit(request, owner=ANNA) for _ in range(200)]
        provider.script.pause = pause
        answers: list[Job] = []

        async def poll(job: Job) -> None:
            answers.append(await tts.poll_once(job.task.id, owner=ANNA))

        async with anyio.create_task_group() as tasks:
            for job in jobs:
                tasks.start_soon(poll, job)
            while begun[0] < 200:
                await anyio.lowlevel.checkpoint()
            assert not store._pool._under_way
            assert (await store.list_generations(ANNA)).total == 200
            go_on.set()
    assert [answer.task.poll_count for answer in answers] == [1] * 200
    await store.aclose()
