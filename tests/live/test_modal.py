"""Modal itself: one job on the deployment that the environment names."""

import pytest

from tests.live.speaking import cloned, spoken

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(2400)  # a container that starts cold loads its model first
async def test_a_job_is_spoken_and_stored() -> None:
    """A text and a recording become audio in our own storage, for one accepted job."""
    job = await spoken("modal", cloned)

    assert job.task.audio is not None
    assert job.task.audio.content_type == "audio/wav"
    assert job.task.audio.duration > 0.3
    assert job.task.attempts == 1
    assert set(job.task.receipt or {}) == {"job_id"}
