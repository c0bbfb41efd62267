"""What a killed worker held is free again."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.scale.fleet import a_fleet, all_jobs, check_invariants
from tests.scale.worker import OWNER, request_for
from ttsorch.errors import ActiveJobLimit
from ttsorch.models import Status

pytestmark = pytest.mark.anyio


async def test_a_killed_worker_s_slot_returns(database: str, tmp_path: Path) -> None:
    """A worker dies with its owner's only slot in its hands. While nobody knows what became of the job,
    the slot is taken; when the sweep has ended the job, the next submit is accepted."""
    terms = {"lease": 1.0, "grace": 1.0, "active_per_owner": 1}
    async with a_fleet(database, tmp_path) as fleet, fleet.witness(**terms) as parts:
        worker = await fleet.start("stop_submitting", label="lost", **terms)
        await fleet.until(lambda: bool(worker.heard("stops")))
        worker.signal(signal.SIGKILL)
        with pytest.raises(ActiveJobLimit):
            await parts.tts.submit(request_for("next"), owner=OWNER, idempotency_key="next")
        with anyio.fail_after(60):
            while not all(job.task.status.terminal for job in await all_jobs(parts)):
                await parts.tts.sweep_once()
        (lost,) = await all_jobs(parts)
        assert (lost.task.status, lost.task.outcome_open) == (Status.FAILED, True)
        await check_invariants([lost], parts)
        job = await parts.tts.submit(request_for("next"), owner=OWNER, idempotency_key="next")
        assert job.task.status is Status.PROCESSING
        assert fleet.modal.ledger.accepted_texts() == ["lost", "next"]
