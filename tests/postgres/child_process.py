"""What the tests run in processes of their own: ``python -m tests.postgres.child_process MODE URL``."""

import os
import sys
from functools import partial

import anyio

from tests.store.child_process import say, write_without_end
from ttsorch.errors import StorageUnavailable
from ttsorch.store import migrate_task_store
from ttsorch.store.postgres import PostgresTaskStore


async def write(url: str) -> None:
    await write_without_end(await PostgresTaskStore.open(url))


async def migrate(url: str) -> None:
    """Wait for a word, so that all begin together; then migrate, and say the version."""
    say("ready")
    sys.stdin.readline()
    say(str(await migrate_task_store(url)))


def fork(url: str) -> None:
    """Use an open store in a forked process and say what comes of it."""

    async def main() -> int:
        store = await PostgresTaskStore.open(url)
        child = os.fork()
        if child:
            await store.aclose()
            return child
        try:
            await store.get("anna", "some-id")
        except StorageUnavailable as error:
            say(error.code)
        await store.aclose()  # harmless, and the parent's connections stay
        os._exit(0)

    os.waitpid(anyio.run(main), 0)


if __name__ == "__main__":
    mode, url = sys.argv[1:]
    if mode == "fork":
        fork(url)
    else:
        anyio.run(partial({"write": write, "migrate": migrate}[mode], url))
