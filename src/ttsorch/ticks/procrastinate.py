"""Ticks from Procrastinate, on the same PostgreSQL: its workers run steps and a periodic sweep.

The queue holds nothing but the ids of tasks that want a step. It may lose any of them, run them twice or be
emptied: the sweep finds what is due in the task store, which alone is the truth. For the same reason its
jobs carry no lock and no retries; a killed worker's lock would only keep others from going on.

In the web process::

    Orchestrator(..., background=False, polls_synthesize=False, listeners=[StepDeferrer(app)])

In a worker::

    add_ticks(app, orchestrator)
    await app.run_worker_async(queues=[QUEUE], delete_jobs="always")
"""

import logging
from datetime import datetime, timedelta

from procrastinate import App, JobContext
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Status

from ttsorch.errors import NotFound, TtsorchError
from ttsorch.models import Task, Transition
from ttsorch.orchestrator import Orchestrator

__all__ = ["QUEUE", "STEP", "SWEEP", "StepDeferrer", "add_ticks"]

#: The queue that both tasks are in.
QUEUE = "ttsorch"
#: The names of Procrastinate's tasks.
STEP = "ttsorch.step"
SWEEP = "ttsorch.sweep"

logger = logging.getLogger("ttsorch")


class StepDeferrer:
    """A listener that has each new task stepped by a worker.

    It hears of a task after the commit. When the process dies in between or the queue can't be reached, that
    defer is lost; the periodic sweep makes it good, so it is logged and nobody is told.

    Args:
        app: open for as long as the orchestrator is; its connector goes to the queue's database.
        queue: the one that :func:`add_ticks` was given.
        check_interval: seconds to the first look at a job that a provider is to be asked about.
    """

    def __init__(self, app: App, *, queue: str = QUEUE, check_interval: float = 5.0) -> None:
        self._app = app
        self._queue = queue
        self._check_interval = check_interval

    async def __call__(self, transition: Transition) -> None:
        task = transition.job.task
        if transition.before is not None or task.status.terminal:
            return
        # A row that is leased is being submitted by this process just now.
        wait = 0.0 if task.lease_until is None else self._check_interval
        await _defer_step(self._app, self._queue, task, wait)


def add_ticks(
    app: App, orchestrator: Orchestrator, *, queue: str = QUEUE, sweep_cron: str = "* * * * * */5"
) -> None:
    """Let the workers of ``app`` take the orchestrator's tasks further, until each has ended.

    Args:
        orchestrator: running for as long as the worker is; best with ``background=False``.
        queue: for both Procrastinate tasks.
        sweep_cron: when to sweep; a sixth field counts seconds.
    """

    @app.task(name=STEP, queue=queue)
    async def step(task_id: str, owner: str) -> None:
        try:
            job = await orchestrator.step(task_id, owner=owner)
        except NotFound:
            return  # deleted meanwhile
        except TtsorchError as error:
            logger.warning("tick: task %s: %s (%s)", task_id, error.code, error.detail)
            return  # the sweep goes on with it
        if not job.task.status.terminal:
            wait = _seconds_to_next(
                job.task, orchestrator.now(), orchestrator.policy.check_interval
            )
            await _defer_step(app, queue, job.task, wait)

    @app.periodic(cron=sweep_cron)
    @app.task(name=SWEEP, queue=queue, queueing_lock=SWEEP, pass_context=True)
    async def sweep(context: JobContext, timestamp: int) -> None:
        await orchestrator.sweep_once()
        await _clear_away_the_dead(context.app, queue)


def _seconds_to_next(task: Task, now: datetime, check_interval: float) -> float:
    """Until the next action is due. What is due still after a step could not be done: somebody else is at
    it, or the provider can't be reached."""
    if task.next_action_at is None or task.next_action_at <= now:
        return check_interval
    return (task.next_action_at - now) / timedelta(seconds=1)


async def _defer_step(app: App, queue: str, task: Task, wait: float) -> None:
    deferrer = app.configure_task(
        STEP,
        queue=queue,
        queueing_lock=task.id,
        schedule_in={"milliseconds": round(wait * 1000)} if wait > 0 else None,
    )
    try:
        await deferrer.defer_async(task_id=task.id, owner=task.owner)
    except AlreadyEnqueued:
        pass  # one waiting step is enough


async def _clear_away_the_dead(app: App, queue: str) -> None:
    """Jobs of workers that were killed stay under way for ever; what they were for, the sweep does."""
    for name in (STEP, SWEEP):
        for job in await app.job_manager.get_stalled_jobs(queue=queue, task_name=name):
            if job.id is not None:
                await app.job_manager.finish_job_by_id_async(
                    job.id, status=Status.FAILED, delete_job=True
                )
