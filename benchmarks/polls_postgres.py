"""P4: 64 polls in flight over PostgreSQL, each with its write on the server's disk, against Replicate's own
client, which stores nothing. Both ask the same fake vendor."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from anyio.from_thread import start_blocking_portal

from benchmarks.database import database
from benchmarks.findings import Finding
from benchmarks.pairs import Effort
from benchmarks.pollers import Poll, against_replicate, polling, replicate_poll
from benchmarks.vendor import vendor
from ttsorch.store.postgres import PostgresTaskStore


def run(effort: Effort) -> Iterator[Finding]:
    with (
        vendor() as url,
        database() as database_url,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_poll_once(url, database_url)) as poll_once,
    ):
        what = "calls/s of poll_once on PostgreSQL / replicate, 64 in flight"
        polls = {"poll_once": poll_once, "replicate": replicate_poll(url)}
        yield against_replicate("P4", what, 1.6, portal, polls, effort)


@asynccontextmanager
async def _poll_once(url: str, database_url: str) -> AsyncIterator[Poll]:
    store = await PostgresTaskStore.open(database_url)
    async with polling(url, store) as (poll_once, _):
        yield poll_once
    await store.aclose()
