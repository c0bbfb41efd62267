"""Calls of one moment share a transaction on PostgreSQL, none of which can harm the others."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import anyio
import psycopg
import pytest

from tests.postgres.conftest import check_nothing_is_left
from tests.postgres.server import Server, locked
from ttsorch.errors import StorageUnavailable, TtsorchError
from ttsorch.models import Job
from ttsorch.store import _postgres_pool
from ttsorch.store._postgres_exchange import encoded
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    cancelled,
    new_job,
    race,
    started,
    stored,
)

pytestmark = pytest.mark.anyio

_BACKEND = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'mine'"
_WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'
"""


async def _together(*calls: Callable[[], Awaitable[object]]) -> list[object]:
    """Make the calls in one turn of the event loop, which is in one batch; what each returned, or the error
    of ours that it raised."""

    async def make(number: int) -> object:
        try:
            return await calls[number]()
        except TtsorchError as error:
            return error

    return await race(make, len(calls))


def _create(store: PostgresTaskStore, job: Job) -> Callable[[], Awaitable[object]]:
    return lambda: store.create(job.task, job.generation)


def _poll(store: PostgresTaskStore, job: Job) -> Callable[[], Awaitable[object]]:
    return lambda: store.record_poll(job.task.owner, job.task.id)


def _transactions(server: Server, database: str) -> list[int]:
    """How many of the tasks each transaction wrote, fewest first."""
    wrote = "SELECT count(*) FROM ttsorch.tasks GROUP BY xmin::text ORDER BY count(*)"
    return [count for (count,) in server.ask(database, wrote)]


async def _until_waiting(server: Server, database: str, sessions: int) -> None:
    while server.ask(database, _WAITING, database)[0][0] < sessions:
        await anyio.lowlevel.checkpoint()


def _jobs(store: PostgresTaskStore, count: int) -> list[Job]:
    return [new_job(store.now()) for _ in range(count)]


async def test_calls_of_one_moment_share_a_transaction(
    server: Server, database: str, store: PostgresTaskStore
) -> None:
    """One by one each call has its own; at once they have one, and each gets its own answer."""
    jobs = _jobs(store, 10)
    for job in jobs[:3]:
        await _create(store, job)()
    assert await _together(*(_create(store, job) for job in jobs[3:])) == jobs[3:]
    assert _transactions(server, database) == [1, 1, 1, 7]
    polled = await _together(*(_poll(store, job) for job in jobs))
    assert [answer.task.id for answer in polled if isinstance(answer, Job)] == [
        job.task.id for job in jobs
    ]
    assert _transactions(server, database) == [10]


async def test_a_batch_is_no_more_than_a_socket_takes_at_once(
    server: Server, database: str, store: PostgresTaskStore
) -> None:
    """Many calls go as several batches, and what is large goes by itself."""
    small, large = _jobs(store, 70), [new_job(store.now(), text="x" * 20_000) for _ in range(2)]
    await _together(*(_create(store, job) for job in [*small, *large]))
    counts = _transactions(server, database)
    assert (sum(counts), counts[:2]) == (72, [1, 1])
    assert 1 < counts[-1] <= 32


async def test_a_text_that_no_socket_takes_at_once_arrives(store: PostgresTaskStore) -> None:
    """Four megabytes there, and as many back, beside others."""
    jobs = [new_job(store.now(), text="é" * 1_000_000), *_jobs(store, 2)]
    assert await _together(*(_create(store, job) for job in jobs)) == jobs
    assert [await store.get(ANNA, job.task.id) for job in jobs] == jobs


async def test_a_failing_call_takes_nothing_with_it(
    server: Server, database: str, store: PostgresTaskStore
) -> None:
    """Of a batch the calls that fail, for whichever reason, fail alone, as they would have alone; the others
    are answered, and all of them are there."""
    good = _jobs(store, 6)
    known = await stored(store, new_job(store.now(), idempotency_key="key"))
    again = new_job(store.now(), idempotency_key="key")
    twin = new_job(store.now(), generation_id=known.task.generation_id)
    late = started(known, store.now())
    bad: Sequence[Callable[[], Awaitable[object]]] = [
        _create(store, new_job(store.now(), text="\0")),
        _create(store, new_job(store.now(), text="\ud800")),
        _create(store, twin),
        _create(store, again),
        lambda: store.replace(late.task, late.generation, expected_version=9),
        lambda: store.renew(known.task.id, fence=9, lease_seconds=1),
        lambda: store.record_poll(BEN, known.task.id),
    ]
    created = [_create(store, job) for job in good]
    outcomes = await _together(*created[:3], *bad, *created[3:])
    assert outcomes[:3] + outcomes[10:] == good
    errors = [error for error in outcomes[3:6] if isinstance(error, StorageUnavailable)]
    assert [error.detail for error in errors] == [
        "DataError",
        "a text that is not Unicode",
        "the id is taken",
    ]
    assert outcomes[6:10] == [known, False, False, None]
    found = {task_id for (task_id,) in server.ask(database, "SELECT id FROM ttsorch.tasks")}
    assert found == {job.task.id for job in [known, *good]}


async def test_writes_of_one_task_stay_in_their_order(
    server: Server, database: str, store: PostgresTaskStore
) -> None:
    """Two compare-and-sets that build on each other, made at once: both are written, in one transaction, and
    what is asked for in between sees the first."""
    job = await stored(store, new_job(store.now()))
    first = started(job, store.now())
    second = cancelled(first, store.now())

    def write(later: Job) -> Callable[[], Awaitable[object]]:
        before = later.task.version - 1
        return lambda: store.replace(later.task, later.generation, expected_version=before)

    outcomes = await _together(
        write(first), _poll(store, job), write(second), _create(store, new_job(store.now()))
    )
    assert outcomes[0] is outcomes[2] is True
    assert isinstance(outcomes[1], Job)
    assert outcomes[1].task.phase is first.task.phase
    assert _transactions(server, database) == [2]


async def test_who_is_cancelled_disturbs_nobody(server: Server, database: str, url: str) -> None:
    """The others of the batch are answered, the statement of the one that left is made all the same, and a
    store that is closed right then waits for it."""
    store = await PostgresTaskStore.open(url)
    jobs, answers = _jobs(store, 5), list[Job]()

    async def create(job: Job, scope: anyio.CancelScope) -> None:
        with scope:
            answers.append(await store.create(job.task, job.generation))

    scopes = [anyio.CancelScope() for _ in jobs]
    async with anyio.create_task_group() as tasks:
        for job, scope in zip(jobs, scopes, strict=True):
            tasks.start_soon(create, job, scope)
        await anyio.lowlevel.checkpoint()
        scopes[0].cancel()
        scopes[3].cancel()
    expected = {jobs[number].task.id for number in (1, 2, 4)}
    assert {answer.task.id for answer in answers} == expected
    async with anyio.create_task_group() as tasks:
        for job in _jobs(store, 5):
            tasks.start_soon(store.create, job.task, job.generation)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await store.aclose()
    assert _transactions(server, database) == [5, 5]
    check_nothing_is_left(server, database, store)


@pytest.fixture
async def single(server: Server, database: str) -> AsyncIterator[PostgresTaskStore]:
    """With one connection, of which a batch can be deprived, and little patience."""
    url = server.url(database, application_name="mine")
    opened = await PostgresTaskStore.open(url, pool_size=1, statement_seconds=1)
    yield opened
    await opened.aclose()


async def test_a_lost_connection_fails_its_whole_batch(
    server: Server, database: str, single: PostgresTaskStore
) -> None:
    """Nobody knows what became of it, so nothing is made a second time: each call fails as it would have
    alone, and the next is served."""
    jobs, outcomes = _jobs(single, 5), list[object]()

    async def create_all() -> None:
        outcomes.extend(await _together(*(_create(single, job) for job in jobs)))

    [(backend,)] = server.ask(database, _BACKEND, database)
    os.kill(backend, signal.SIGSTOP)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(create_all)
        await anyio.wait_all_tasks_blocked()  # sent
        server.ask(database, "SELECT pg_terminate_backend(%s)", backend)
        os.kill(backend, signal.SIGCONT)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 5
    details = [outcome.detail for outcome in outcomes if isinstance(outcome, StorageUnavailable)]
    assert details == ["AdminShutdown (57P01)"] * 5
    assert _transactions(server, database) == []
    assert await single.get(ANNA, jobs[0].task.id) is None


async def test_a_silent_server_is_hung_up_on_by_a_batch_too(
    server: Server, database: str, single: PostgresTaskStore
) -> None:
    """However many calls there are in it, it is bounded as one is. What becomes of it once the server goes
    on, nobody is told; it is all or nothing."""
    [(backend,)] = server.ask(database, _BACKEND, database)
    os.kill(backend, signal.SIGSTOP)
    try:
        with anyio.fail_after(15):
            outcomes = await _together(*(_create(single, job) for job in _jobs(single, 20)))
    finally:
        os.kill(backend, signal.SIGCONT)
    assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 20
    while server.ask(database, "SELECT 1 FROM pg_stat_activity WHERE pid = %s", backend):
        await anyio.lowlevel.checkpoint()
    assert _transactions(server, database) in ([], [20])


async def test_who_waits_for_a_lock_waits_alone(server: Server, database: str, url: str) -> None:
    """A call whose row somebody else holds doesn't hold up those that it came with."""
    store = await PostgresTaskStore.open(url, statement_seconds=60)
    jobs = [await stored(store, new_job(store.now())) for _ in range(4)]
    answers: list[Job | None] = []

    async def poll(job: Job) -> None:
        answers.append(await store.record_poll(ANNA, job.task.id))

    async with anyio.create_task_group() as tasks:
        with locked(server, database, jobs[2].task.id), anyio.fail_after(20):
            for job in jobs:
                tasks.start_soon(poll, job)
            while len(answers) < 3:
                await anyio.lowlevel.checkpoint()
    await store.aclose()
    assert [answer.task.poll_count for answer in answers if answer] == [1, 1, 1, 1]
    assert answers[3] is not None
    assert answers[3].task.id == jobs[2].task.id


async def test_calls_that_are_stuck_hold_up_nobody(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """However many batches wait for their rows: while there is a connection, others go on."""
    store = workers[0]
    jobs = [await stored(store, new_job(store.now())) for _ in range(9)]
    with psycopg.connect(server.url(database)) as holder:
        holder.execute("SELECT 1 FROM ttsorch.tasks WHERE id <> %s FOR UPDATE", (jobs[8].task.id,))
        async with anyio.create_task_group() as tasks:
            for number, job in enumerate(jobs[:8], start=1):
                tasks.start_soon(store.record_poll, ANNA, job.task.id)
                await _until_waiting(server, database, number)
            for _ in range(3):
                assert await store.record_poll(ANNA, jobs[8].task.id) is not None
            holder.commit()


async def test_batches_of_two_workers_lock_in_one_order(
    server: Server,
    database: str,
    workers: list[PostgresTaskStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made for the same tasks in opposite order, both wait for the first, and neither has the last: so none
    of them can have what the other waits for."""
    patient = encoded("wait_for_locks", {"lock_timeout": "60000"})
    monkeypatch.setattr(_postgres_pool, "_IMPATIENT", patient)
    jobs = [await stored(workers[0], new_job(workers[0].now())) for _ in range(5)]
    jobs.sort(key=lambda job: job.task.id)

    async def poll_all(store: PostgresTaskStore, order: Sequence[Job]) -> None:
        await _together(*(_poll(store, job) for job in order))

    async with anyio.create_task_group() as tasks:
        with locked(server, database, jobs[0].task.id):
            tasks.start_soon(poll_all, workers[0], jobs)
            tasks.start_soon(poll_all, workers[1], jobs[::-1])
            await _until_waiting(server, database, 2)
            others = (
                "SELECT count(*) FROM (SELECT FROM ttsorch.tasks WHERE id > %s FOR UPDATE NOWAIT)"
            )
            assert server.ask(database, f"{others} AS free", jobs[0].task.id) == [(4,)]
    assert [count for (count,) in server.ask(database, "SELECT poll_count FROM ttsorch.tasks")] == [
        2
    ] * 5


async def test_two_workers_over_the_same_tasks_lose_no_poll(
    workers: list[PostgresTaskStore],
) -> None:
    """Thirty rounds of batches in opposite orders, with creates under the same keys: each poll is counted
    once, and each key has one job."""
    jobs = [await stored(workers[0], new_job(workers[0].now())) for _ in range(8)]

    async def work(number: int) -> list[object]:
        store, found = workers[number], list[object]()
        for turn in range(30):
            fresh = [
                new_job(store.now(), idempotency_key=f"key {turn} {each}") for each in range(4)
            ]
            calls = [
                *(_poll(store, job) for job in jobs),
                *(_create(store, job) for job in fresh),
            ]
            outcomes = await _together(*(calls[::-1] if number else calls))
            found += sorted(
                answer.task.id
                for answer in outcomes
                if isinstance(answer, Job) and answer.task.idempotency_key
            )
        return found

    first, second = await race(work, 2)
    assert sorted(map(str, first)) == sorted(map(str, second))
    assert len(set(first)) == 120
    for job in jobs:
        found = await workers[0].get(ANNA, job.task.id)
        assert found is not None
        assert found.task.poll_count == 60


async def test_the_clock_learns_from_whatever_of_a_batch_tells_the_time(
    workers: list[PostgresTaskStore],
) -> None:
    """Also where the last of the batch found nothing: the clock is never behind a lease that was granted."""
    store = workers[0]
    job = new_job(store.now(), id="00000000-0000-4000-8000-000000000000")
    store._pool._server_clock._ahead -= 600_000_000
    leased, nothing = await _together(
        lambda: store.create(job.task, job.generation, lease_seconds=60),
        lambda: store.record_poll(ANNA, "nobody's"),
    )
    assert isinstance(leased, Job)
    assert nothing is None
    assert leased.task.lease_until is not None
    assert (leased.task.lease_until - store.now()).total_seconds() <= 60
