"""One sweep: whatever is due, whoever owns it, one step further."""

import logging

import anyio

from ttsorch._driver import Driver
from ttsorch._outbox import Outbox
from ttsorch.errors import InternalError, TtsorchError
from ttsorch.models import Job, SweepReport

logger = logging.getLogger("ttsorch")


async def sweep(driver: Driver, outbox: Outbox) -> SweepReport:
    """One bad task never stops the others: it is logged and counted."""
    due = await driver.claim_due()
    failures: list[TtsorchError] = []

    async def step(job: Job) -> None:
        try:
            await driver.step_in_turn(job)
        except InternalError as error:
            failures.append(error)  # it is in the log, with what caused it
        except TtsorchError as error:
            logger.warning("sweep: task %s: %s (%s)", job.task.id, error.code, error.detail)
            failures.append(error)

    async with anyio.create_task_group() as group:
        for job in due:
            group.start_soon(step, job)
    told = await outbox.deliver_due()
    return SweepReport(stepped=len(due), failed=len(failures), told=told)
