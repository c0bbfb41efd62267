"""Workers that stand still for ten lease times in the middle of something, and then go on."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.scale.fleet import Fleet, Worker, a_fleet, all_jobs, check_invariants, published
from tests.scale.worker import Open
from ttsorch.models import Job, Status

pytestmark = pytest.mark.anyio

_LEASE = 1.0
_STOPPED_FOR = 10 * _LEASE


async def _ended(parts: Open, count: int) -> dict[str, Job]:
    """All jobs by their text, once so many have ended."""
    with anyio.fail_after(60):
        while True:
            jobs = await all_jobs(parts)
            if len([job for job in jobs if job.task.status.terminal]) == count:
                return {job.generation.text: job for job in jobs if job.generation}
            await anyio.sleep(0.1)


async def _stopped(fleet: Fleet, mode: str, label: str) -> Worker:
    """A worker that has stopped with the job in its hands."""
    worker = await fleet.start(mode, label=label, lease=_LEASE, grace=_LEASE, resubmits=True)
    await fleet.until(lambda: bool(worker.heard("stops")))
    return worker


async def test_a_worker_that_was_stopped_for_ten_leases_changes_nothing(
    postgres: str, sqlite: str, tmp_path: Path
) -> None:
    """One stops in the middle of its upload, one between the vendor's answer and the row. A third takes
    both jobs over and completes them. When the two go on, no row and no published blob changes, and the job
    that nobody follows is called off at the vendor. Over both databases, side by side."""
    async with anyio.create_task_group() as both:
        both.start_soon(_stop_and_go_on, postgres, tmp_path / "postgres")
        both.start_soon(_stop_and_go_on, sqlite, tmp_path / "sqlite")


async def _stop_and_go_on(database: str, folder: Path) -> None:
    async with a_fleet(database, folder) as fleet, fleet.witness() as parts:
        storing = await _stopped(fleet, "stop_storing", "stored")
        submitting = await _stopped(fleet, "stop_submitting", "submitted")
        await fleet.start("sweep", grace=_LEASE, resubmits=True)
        async with anyio.create_task_group() as both:
            both.start_soon(anyio.sleep, _STOPPED_FOR)
            before = await _ended(parts, 2)
        for worker in (storing, submitting):
            worker.signal(signal.SIGCONT)
        await fleet.until(lambda: bool(storing.heard("ended") and submitting.heard("ended")))
        # Its call to the vendor may be under way for longer than its row takes.
        with anyio.fail_after(30):
            await fleet.modal.servers.cancel.received(1)
        after = await _ended(parts, 2)
        await _check_nothing_changed(before, after, parts)
        _check_the_bill(fleet, after["submitted"])


async def _check_nothing_changed(
    before: dict[str, Job], after: dict[str, Job], parts: Open
) -> None:
    """The rows are as the third left them, and their blobs are the only ones."""
    for label in ("stored", "submitted"):
        was, task = before[label].task, after[label].task
        assert (task.status, task.audio, task.ticket) == (was.status, was.audio, was.ticket)
        assert (task.status, task.completed_at) == (Status.COMPLETED, was.completed_at)
        assert task.audio is not None
        assert await published(parts, after[label]) == [task.audio.key]
    await check_invariants(list(after.values()), parts)


def _check_the_bill(fleet: Fleet, submitted: Job) -> None:
    """Only the job whose answer nobody wrote down was asked for again, as it was allowed to be; the row has
    the second, and the first was called off."""
    bill = fleet.modal.ledger
    assert sorted(bill.accepted_texts()) == ["stored", "submitted", "submitted"]
    first, again = (job.id for job in bill.accepted if job.text == "submitted")
    assert submitted.task.resubmits == 1
    assert (submitted.task.ticket or {}).get("job_id") == again
    assert bill.cancels == [first]
