"""kill -9 of workers and restarts of the database under load: nothing lost, nothing doubled."""

import random
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import anyio
import pytest

from tests.postgres.server import Server
from tests.scale.fleet import Fleet, Worker, a_fleet, all_jobs, check_invariants
from tests.scale.worker import Open
from ttsorch.errors import StorageUnavailable
from ttsorch.models import Job, Status

pytestmark = pytest.mark.anyio

#: Seconds of calm after which nothing may be under way.
_CALM = 120.0


class _Trouble:
    """Some workers, of which now and then one is killed and replaced."""

    def __init__(self, fleet: Fleet, workers: int) -> None:
        self._fleet = fleet
        self._most = workers
        self._names = count()
        self._alive: list[Worker] = []

    async def hire(self) -> None:
        while len(self._alive) < self._most:
            label = f"w{next(self._names)}"
            worker = await self._fleet.start("serve", label=label, lease=3.0, grace=5.0)
            self._alive.append(worker)

    async def kill(self) -> None:
        victim = self._alive.pop(random.randrange(len(self._alive)))
        victim.signal(signal.SIGKILL)
        await self.hire()

    async def all_work(self) -> None:
        """Until every worker that is alive has had a job of its own acknowledged."""
        alive = list(self._alive)
        await self._fleet.until(lambda: all(worker.heard("acknowledged") for worker in alive))


async def _every_job_ended(parts: Open) -> list[Job]:
    """All rows, of which the workers that are left have made an end in time."""
    with anyio.fail_after(_CALM):
        while True:
            try:
                jobs = await all_jobs(parts)
            except StorageUnavailable:
                continue
            if all(job.task.status.terminal for job in jobs):
                return jobs
            await anyio.sleep(0.5)


def _check_nothing_lost(fleet: Fleet, jobs: list[Job]) -> None:
    """What was acknowledged is there, once, and stayed as it was when somebody saw it end."""
    by_text = {job.generation.text: job for job in jobs if job.generation}
    assert len(by_text) == len(jobs), "a task was doubled"
    for _, label, task_id in fleet.heard("acknowledged"):
        assert by_text[label].task.id == task_id, f"{label} was acknowledged and is lost"
    for _, label, status in fleet.heard("ended"):
        assert by_text[label].task.status == status, f"{label} changed after its end"


def _check_the_bill(fleet: Fleet, jobs: list[Job]) -> None:
    """Every accepted job is on one row, by its id or as one whose outcome is open; none is there twice."""
    bill = fleet.modal.ledger
    by_text = {job.generation.text: job.task for job in jobs if job.generation}
    assert max(Counter(bill.accepted_texts()).values()) == 1, "a job was paid twice"
    for paid in bill.accepted:
        task = by_text[paid.text]
        named = task.ticket is not None and task.ticket["job_id"] == paid.id
        assert named or task.outcome_open, f"{paid.text} was paid, and no row knows"
    texts = set(bill.accepted_texts())
    for text, task in by_text.items():
        assert task.status is not Status.COMPLETED or text in texts, f"{text} completed for free"


async def _survives(
    fleet: Fleet,
    troubles: int,
    gap: Callable[[], float],
    restart: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Trouble after trouble, with a gap before each; then calm, and the audit. Every second trouble is a
    restart, if there is anything to restart."""
    trouble = _Trouble(fleet, workers=3)
    await trouble.hire()
    await trouble.all_work()
    for number in range(troubles):
        await anyio.sleep(gap())  # the moment of the trouble, not a synchronisation
        await (restart() if restart and number % 2 else trouble.kill())
    await trouble.all_work()
    fleet.be_calm()
    async with fleet.witness() as parts:
        jobs = await _every_job_ended(parts)
        _check_nothing_lost(fleet, jobs)
        _check_the_bill(fleet, jobs)
        await check_invariants(jobs, parts)
    completed = [job for job in jobs if job.task.status is Status.COMPLETED]
    sys.stdout.write(f"{len(jobs)} jobs, {len(completed)} completed\n")
    assert len(completed) > len(jobs) / 2


def _restarting(server: Server) -> Callable[[], Awaitable[None]]:
    async def restart() -> None:
        await anyio.to_thread.run_sync(server.crash)

    return restart


@pytest.mark.timeout(300)
async def test_kills_and_restarts_lose_and_double_nothing(
    server: Server, postgres: str, tmp_path: Path
) -> None:
    """Workers are killed and PostgreSQL crashes in turn, under load. When it is calm again, every job ends;
    none that was acknowledged is missing, and none was paid twice."""
    async with a_fleet(postgres, tmp_path) as fleet:
        await _survives(fleet, 4, lambda: random.uniform(0.5, 2), _restarting(server))


@pytest.mark.timeout(300)
async def test_kills_lose_and_double_nothing_in_a_file(sqlite: str, tmp_path: Path) -> None:
    """The same over SQLite, where only workers die."""
    async with a_fleet(sqlite, tmp_path) as fleet:
        await _survives(fleet, 4, lambda: random.uniform(0.2, 1))


@pytest.mark.deep
async def test_five_minutes_of_kills_and_restarts(
    server: Server, postgres: str, tmp_path: Path
) -> None:
    """The same with a trouble every 5 to 40 seconds."""
    async with a_fleet(postgres, tmp_path) as fleet:
        await _survives(fleet, 14, lambda: random.uniform(5, 40), _restarting(server))


@pytest.mark.deep
async def test_five_minutes_of_kills_in_a_file(sqlite: str, tmp_path: Path) -> None:
    """The same over SQLite."""
    async with a_fleet(sqlite, tmp_path) as fleet:
        await _survives(fleet, 14, lambda: random.uniform(5, 40))
