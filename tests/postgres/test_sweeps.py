"""Several sweeps at once: each job is handed to one of them, in turns, and nothing is left over."""

from datetime import timedelta

import pytest

from tests.postgres.server import Server, locked
from ttsorch.errors import RowUnreadable
from ttsorch.store import postgres
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    ids,
    new_job,
    race,
    running,
    stored,
)

pytestmark = pytest.mark.anyio


async def test_of_two_sweeps_none_gets_what_the_other_has(workers: list[PostgresTaskStore]) -> None:
    """However they share what is due: each row is handed out once, and to each what has waited longest."""
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
    """What this version can't read is put aside by a sweep; what is due after it is handed out."""
    now = workers[0].now()
    strange = await stored(workers[0], new_job(now - timedelta(seconds=5)))
    known = await stored(workers[0], new_job(now))
    change = "UPDATE ttsorch.tasks SET phase = 'dreaming' WHERE id = %s"
    server.ask(database, change, strange.task.id)
    assert ids(await workers[0].claim_due(limit=5, hold_seconds=60)) == [known.task.id]
    (stuck,) = await workers[0].list_stuck()
    assert (stuck.id, stuck.phase, stuck.reason) == (strange.task.id, "dreaming", "unreadable")


async def test_a_row_that_becomes_unreadable_meanwhile_does_not_stop_the_sweep(
    server: Server, database: str, workers: list[PostgresTaskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the statement that claimed it and the one that reads it again, for its generation is of another
    moment: the batch is handed out."""
    odd, known = [await stored(workers[0], new_job(workers[0].now())) for _ in range(2)]
    change = "UPDATE ttsorch.generations SET status = 'completed' WHERE task_id = %s"
    server.ask(database, change, odd.task.id)

    async def get(*args: object, **kwargs: object) -> None:
        raise RowUnreadable

    monkeypatch.setattr(workers[0], "get", get)
    due = await workers[0].claim_due(limit=5, hold_seconds=60)
    assert sorted(ids(due)) == sorted(ids([odd, known]))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ttsorch.tasks SET options = '{' WHERE id = %s",
        "UPDATE ttsorch.tasks SET voice = 'null' WHERE id = %s",
        "UPDATE ttsorch.tasks SET created_at = 9223372036854775807 WHERE id = %s",
        "UPDATE ttsorch.generations SET status = 'dreaming' WHERE task_id = %s",
    ],
)
async def test_damaged_rows_take_no_place_in_a_batch(
    server: Server,
    database: str,
    workers: list[PostgresTaskStore],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    """Whatever is wrong with them, and with whose generation; they wait longer each time."""
    now = workers[0].now()
    bad = [await stored(workers[0], new_job(now - timedelta(seconds=9 - n))) for n in range(3)]
    good = [await stored(workers[0], new_job(now - timedelta(seconds=2 - n))) for n in range(2)]
    for job in bad:
        server.ask(database, damage, job.task.id)
    assert ids(await workers[0].claim_due(limit=2, hold_seconds=10)) == ids(good)
    server.ask(database, "UPDATE ttsorch.tasks SET next_action_at = 0 WHERE failures > 0")
    assert await workers[1].claim_due(limit=2, hold_seconds=10) == []
    for stuck in await workers[0].list_stuck():
        assert stuck.next_action_at is not None
        assert (stuck.failures, stuck.reason) == (2, "unreadable")
        assert 15 < (stuck.next_action_at - workers[0].now()).total_seconds() <= 20
    assert caplog.text.count("and is put aside") == 6


async def test_a_paused_backlog_does_not_hide_what_can_be_done(
    workers: list[PostgresTaskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at again and again within one call, also where owners are gone through one by one."""
    monkeypatch.setattr(postgres, "_MOST_SORTED", 1)
    now = workers[0].now()
    for n in range(20):
        await stored(workers[0], new_job(now - timedelta(seconds=100 - n)))
    at_work = await stored(workers[0], new_job(now - timedelta(seconds=9)), running)
    await workers[0].pause_provider("fake", seconds=60, reason="busy")
    assert ids(await workers[1].claim_due(limit=6, hold_seconds=60)) == [at_work.task.id]
    assert await workers[1].claim_due(limit=6, hold_seconds=60) == []
