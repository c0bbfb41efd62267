"""Two workers, each with a pool of its own, on the same rows at the same time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import psycopg
import pytest

from tests.postgres.server import Server, locked
from ttsorch.errors import ActiveJobLimit, ProviderBusy, SubmitRateLimit
from ttsorch.models import NO_LIMITS, Job, Limits
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store import postgres
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


@pytest.fixture
async def workers(url: str) -> AsyncIterator[list[PostgresTaskStore]]:
    """Two stores on the server's own clock."""
    opened = [await PostgresTaskStore.open(url) for _ in range(2)]
    yield opened
    for store in opened:
        await store.aclose()


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


async def test_two_sweeps_share_what_is_due(workers: list[PostgresTaskStore]) -> None:
    """While one sweep holds the earliest rows, another gets the next ones at once, and no row twice."""
    now = workers[0].now()
    jobs = [
        await stored(workers[0], new_job(now - timedelta(seconds=60 - age))) for age in range(40)
    ]
    handed: list[list[str]] = [[], []]

    async def sweep(number: int) -> None:
        while due := await workers[number].claim_due(limit=5, hold_seconds=60):
            handed[number].append(",".join(ids(due)))

    await race(sweep, 2)
    order = ids(jobs)
    assert sorted(id for rounds in handed for due in rounds for id in due.split(",")) == sorted(
        order
    )
    for rounds in handed:
        assert rounds, "one of two sweeps got nothing"
        firsts = [order.index(due.split(",")[0]) for due in rounds]
        assert firsts == sorted(firsts), "a later job was handed out first"


async def test_who_comes_second_goes_on_in_turns(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """While another transaction holds the jobs of the first turn, a sweep gets those of the second."""
    now = workers[0].now()
    hers, his = [
        [
            await stored(workers[0], new_job(now - timedelta(seconds=age - n), owner=owner))
            for n in range(5)
        ]
        for owner, age in ((ANNA, 60), (BEN, 30))
    ]
    with locked(server, database, hers[0].task.id), locked(server, database, his[0].task.id):
        second = await workers[1].claim_due(limit=4, hold_seconds=60)
    assert ids(second) == ids([hers[1], his[1], hers[2], his[2]])
    rest = await workers[0].claim_due(limit=4, hold_seconds=60)
    assert ids(rest) == ids([hers[0], his[0], hers[3], his[3]])


async def test_sweeps_of_a_backlog_leave_nothing(
    workers: list[PostgresTaskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many look at the same few jobs of a backlog, each gets a batch of its own."""
    monkeypatch.setattr(postgres, "_MOST_SORTED", 1)
    jobs = [await stored(workers[0], new_job(workers[0].now())) for _ in range(60)]
    handed = await race(lambda n: workers[n % 2].claim_due(limit=6, hold_seconds=60), 10)
    assert [len(due) for due in handed] == [6] * 10
    assert sorted(id for due in handed for id in ids(due)) == sorted(ids(jobs))


async def test_a_row_in_use_does_not_hold_up_the_sweep(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """A due row that another transaction has locked is passed over; the rest is handed out."""
    busy, free = [await stored(workers[0], new_job(workers[0].now())) for _ in range(2)]
    with locked(server, database, busy.task.id):
        assert ids(await workers[0].claim_due(limit=5, hold_seconds=60)) == [free.task.id]
    assert ids(await workers[0].claim_due(limit=5, hold_seconds=60)) == [busy.task.id]


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


async def test_a_row_of_a_newer_version_does_not_hide_the_others(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """What this version can't read is left alone by a sweep; what is due after it is handed out."""
    now = workers[0].now()
    strange = await stored(workers[0], new_job(now - timedelta(seconds=5)))
    known = await stored(workers[0], new_job(now))
    change = "UPDATE ttsorch.tasks SET phase = 'dreaming' WHERE id = %s"
    server.ask(database, change, strange.task.id)
    assert ids(await workers[0].claim_due(limit=5, hold_seconds=60)) == [known.task.id]


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
