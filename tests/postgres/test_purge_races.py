"""A purge that meets somebody else on the same rows: each waits for the other, and then looks again."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from tests.postgres.server import Server, locked
from tests.postgres.test_races import _until_waiting
from ttsorch.models import Purged
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.task_store_jobs import (
    ANNA,
    cancelled,
    completed,
    new_job,
    new_preview,
    stored,
)
from ttsorch.testing.voice_store import new_voice

pytestmark = pytest.mark.anyio

_REMOVE = "DELETE FROM ttsorch.tasks WHERE id = %s"
_OWE = "UPDATE ttsorch.tasks SET next_action_at = 1, cancel_owed = true WHERE id = %s"


async def test_a_voice_waits_for_the_purge_of_its_task(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """Its insert began before the task's row was gone for good; there is no voice when it is."""
    voice = new_voice(workers[0].now())
    preview = new_preview(workers[0].now())
    await stored(workers[0], replace(preview, task=replace(preview.task, voice=voice)), completed)
    answers: list[bool] = []

    async def add() -> None:
        answers.append(await workers[1].add_voice(voice, of_task=preview.task.id))

    with locked(server, database, preview.task.id) as connection:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(add)
            await _until_waiting(server, database, 1)
            connection.execute(_REMOVE, (preview.task.id,))
            connection.commit()
    assert answers == [False]
    assert await workers[0].get_voice(ANNA, voice.id) is None


async def test_a_purge_of_an_owner_sees_what_became_of_a_row_that_it_waited_for(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """A ticket that came late makes the task owe a cancel: it stays for that."""
    job = await stored(workers[0], new_job(workers[0].now()), cancelled)
    answers: list[Purged] = []

    async def purge() -> None:
        answers.append(await workers[1].purge_owned(ANNA, limit=10))

    with locked(server, database, job.task.id) as connection:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(purge)
            await _until_waiting(server, database, 1)
            connection.execute(_OWE, (job.task.id,))
            connection.commit()
    assert [answer.tasks for answer in answers] == [0]
    (kept,) = await workers[0].list_unsettled(ANNA)
    assert kept.task.id == job.task.id


async def test_a_purge_by_age_passes_over_what_somebody_else_has(
    server: Server, database: str, workers: list[PostgresTaskStore]
) -> None:
    """It waits for nobody; the row goes next time."""
    long_ago = workers[0].now() - timedelta(hours=2)
    jobs = []
    for _ in range(2):
        job = new_job(long_ago)
        await workers[0].create(job.task, job.generation)
        later = cancelled(job, long_ago)
        assert await workers[0].replace(later.task, later.generation, expected_version=1)
        jobs.append(later)
    with locked(server, database, jobs[0].task.id):
        purged = await workers[1].purge_ended(older_than=3600, limit=10)
    assert purged.tasks == 1
    assert (await workers[1].purge_ended(older_than=3600, limit=10)).tasks == 1
