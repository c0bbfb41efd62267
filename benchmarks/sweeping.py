"""The process that works through due tasks: ``python -m benchmarks.sweeping WHO URL TASKS``.

Writes that many tasks into an empty database, then does them all, with nothing to do in any; prints the
seconds that the doing took.
"""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
from dbos import DBOS
from procrastinate import App, PsycopgConnector
from procrastinate.types import JSONValue

from benchmarks.database import CONNECTIONS
from benchmarks.rows import a_running_job
from ttsorch.models import CheckResult, Policy, Running, Ticket
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.fakes import FakeJobProvider

_OWNERS = 10
#: As many as a sweep of ours does at once.
_AT_ONCE = Policy().sweep_concurrency


class _Instantly(FakeJobProvider):
    """Says at once that a job is running, in that word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    async def check(self, ticket: Ticket) -> CheckResult:
        return Running(self._word, check_after=3600)


async def _sweep(url: str, tasks: int, word: str) -> float:
    """Rows whose provider has said ``running`` so far: any other word has to be written."""
    store = await PostgresTaskStore.open(url, pool_size=CONNECTIONS)

    async def write(number: int) -> None:
        job = a_running_job(f"owner-{number % _OWNERS}", "fake", {"id": "job-1"})
        due = replace(job.task, next_action_at=store.now() - timedelta(seconds=1))
        await store.create(due, job.generation)

    await _each(tasks, write)
    async with Orchestrator(
        provider=_Instantly(word), tasks=store, blobs=MemoryBlobStore(), background=False
    ) as orchestrator:
        before, stepped = time.perf_counter(), 0
        while stepped < tasks:
            report = await orchestrator.sweep_once()
            if report.failed or not report.stepped:
                raise AssertionError(f"{stepped} of {tasks}, then {report}")
            stepped += report.stepped
        seconds = time.perf_counter() - before
    await store.aclose()
    return seconds


async def _work(url: str, tasks: int) -> float:
    """Procrastinate's worker, until its queue is empty."""
    app = App(connector=PsycopgConnector(conninfo=url, max_size=CONNECTIONS))
    done = 0

    @app.task(name="step", queue="speech")
    async def step(ticket: str) -> None:
        nonlocal done
        done += 1

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        tickets: list[dict[str, JSONValue]] = [{"ticket": "job-1"} for _ in range(tasks)]
        await step.batch_defer_async(*tickets)
        before = time.perf_counter()
        await app.run_worker_async(
            concurrency=_AT_ONCE, wait=False, listen_notify=False, install_signal_handlers=False
        )
        seconds = time.perf_counter() - before
    if done != tasks:
        raise AssertionError(f"{done} of {tasks}")
    return seconds


async def _run_workflows(url: str, tasks: int) -> float:
    """DBOS: workflows of one step each."""
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": url,
            "sys_db_pool_size": CONNECTIONS,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def step(ticket: str) -> str:
        return ticket

    @DBOS.workflow()
    async def workflow(ticket: str) -> str:
        return await step(ticket)

    async def run(_: int) -> None:
        await workflow("job-1")

    DBOS.launch()
    await run(0)
    before = time.perf_counter()
    await _each(tasks, run)
    seconds = time.perf_counter() - before
    DBOS.destroy()
    return seconds


async def _each(tasks: int, work: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(tasks))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with anyio.create_task_group() as group:
        for _ in range(_AT_ONCE):
            group.start_soon(worker)


WHO: Mapping[str, Callable[[str, int], Awaitable[float]]] = {
    "sweep": partial(_sweep, word="synthesizing"),
    "sweep, nothing new": partial(_sweep, word="running"),
    "procrastinate": _work,
    "dbos": _run_workflows,
}

if __name__ == "__main__":
    took = anyio.run(WHO[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
    sys.stdout.write(repr(took))
