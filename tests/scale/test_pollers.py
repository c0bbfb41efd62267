"""Many workers on the same few jobs: each is paid, fetched and stored once."""

from pathlib import Path

import pytest

from tests.scale.fleet import a_fleet, all_jobs, check_invariants, published
from tests.scale.worker import POLLERS
from ttsorch.models import Status

pytestmark = pytest.mark.anyio

_WORKERS = 8
_JOBS = 4


async def test_256_pollers_in_8_processes_make_each_job_once(database: str, tmp_path: Path) -> None:
    """All workers submit the same jobs at the same time and poll them until they end: one accepted job, one
    download, one upload and one blob for each (I4, I5, I12), and every poller sees it completed."""
    labels = [f"job_{number}" for number in range(_JOBS)]
    async with a_fleet(database, tmp_path) as fleet:
        workers = [await fleet.start("race", label=",".join(labels)) for _ in range(_WORKERS)]
        await fleet.until(lambda: all(worker.heard("done") for worker in workers))
        ended = fleet.heard("ended")
        assert len(ended) == _WORKERS * POLLERS
        assert {status for _, _, status in ended} == {"completed"}
        async with fleet.witness() as parts:
            jobs = await all_jobs(parts)
            await check_invariants(jobs, parts)
            kept = [await published(parts, job) for job in jobs]
        ledger = fleet.modal.ledger
        assert sorted(ledger.accepted_texts()) == labels
        assert [job.task.status for job in jobs] == [Status.COMPLETED] * _JOBS
        assert dict(ledger.results) == {job.id: 1 for job in ledger.accepted}
        keys = sorted(job.task.audio.key for job in jobs if job.task.audio)
        assert sorted(key for _, key in fleet.heard("uploaded")) == keys
        assert sorted(kept) == sorted([key] for key in keys)
