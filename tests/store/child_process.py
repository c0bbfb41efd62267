"""What the tests run in processes of their own: ``python -m tests.store.child_process MODE PATH``."""

import os
import sys
from functools import partial

import anyio

from ttsorch.errors import StorageUnavailable
from ttsorch.models import Job
from ttsorch.protocols import TaskStore
from ttsorch.store import migrate_task_store
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.task_store_jobs import claimed, new_job

WRITERS = 8


def say(line: str) -> None:
    """One whole line at once: what the parent reads was acknowledged, though we are killed right after."""
    os.write(1, f"{line}\n".encode())


async def write(path: str) -> None:
    await write_without_end(await SqliteTaskStore.open(path))


async def write_without_end(store: TaskStore) -> None:
    """Create jobs and say the id of each once it is acknowledged."""

    async def create_jobs() -> None:
        while True:
            job = new_job(store.now(), text="Hello. " * 50)
            await store.create(job.task, job.generation)
            say(job.task.id)

    async with anyio.create_task_group() as tasks:
        for _ in range(WRITERS):
            tasks.start_soon(create_jobs)


async def claim(path: str) -> None:
    """Try to claim every job, all at once, and say which ones were granted, with their fencing tokens."""
    store = await SqliteTaskStore.open(path)
    jobs = await store.list_tasks("anna", limit=1000)
    say("ready")
    sys.stdin.readline()

    async def try_to_claim(job: Job) -> None:
        if granted := await claimed(store, job):
            say(f"{granted.task.id} {granted.task.fence}")

    async with anyio.create_task_group() as tasks:
        for job in jobs:
            tasks.start_soon(try_to_claim, job)
    await store.aclose()


async def migrate(path: str) -> None:
    """Migrate the file and say its version."""
    say(str(await migrate_task_store(f"sqlite:///{path}")))


def fork(path: str) -> None:
    """Use an open store in a forked process and say what comes of it."""
    store = anyio.run(SqliteTaskStore.open, path)
    if os.fork():
        os.wait()
        anyio.run(store.aclose)
        return
    try:
        anyio.run(store.get, "anna", "some-id")
    except StorageUnavailable as error:
        say(error.code)
    os._exit(0)


if __name__ == "__main__":
    mode, path = sys.argv[1:]
    if mode == "fork":
        fork(path)
    else:
        anyio.run(partial({"write": write, "claim": claim, "migrate": migrate}[mode], path))
