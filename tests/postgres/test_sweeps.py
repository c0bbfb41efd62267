"""Several sweeps at once: each job is handed to one of them, in turns, and nothing is left over."""

from datetime import timedelta

import pytest

from tests.postgres.server import Server, locked
from ttsorch.store import postgres
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import ANNA, BEN, ids, new_job, race, stored

pytestmark = pytest.mark.anyio


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
