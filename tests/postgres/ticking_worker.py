"""A worker that is killed: ``python -m tests.postgres.ticking_worker URL FOLDER PROVIDER CRON``.

The provider's settings are in its environment. It says ``ready`` when it begins to take jobs.
"""

import os
import sys

import anyio
from procrastinate import App, PsycopgConnector

from tests.store.child_process import say
from ttsorch.models import Policy
from ttsorch.orchestrator import Orchestrator
from ttsorch.providers import load_provider
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.ticks.procrastinate import QUEUE, add_ticks

POLICY = Policy(lease=1.0, check_interval=0.1)


async def work(url: str, folder: str, provider_name: str, cron: str) -> None:
    app = App(connector=PsycopgConnector(conninfo=url))
    store = await PostgresTaskStore.open(url)
    async with (
        app.open_async(),
        Orchestrator(
            provider=load_provider(provider_name, os.environ),
            tasks=store,
            blobs=FilesystemBlobStore(folder),
            policy=POLICY,
            background=False,
        ) as orchestrator,
    ):
        add_ticks(app, orchestrator, sweep_cron=cron)
        say("ready")
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=4,
            fetch_job_polling_interval=0.1,
            delete_jobs="always",
            install_signal_handlers=False,
        )


if __name__ == "__main__":
    url, folder, provider_name, cron = sys.argv[1:]
    anyio.run(work, url, folder, provider_name, cron)
