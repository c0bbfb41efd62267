"""The faults of ``tests/orchestrator/test_faults.py``: every call broken in every way, over PostgreSQL."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.orchestrator.test_effects import check_each_end_is_told
from tests.orchestrator.test_faults import PROVIDERS, Fake, cancel, each_place, speak
from tests.orchestrator.test_retention import MAKERS, check_each_purge_of_an_owner
from tests.orchestrator.world import World
from tests.postgres.server import Server
from ttsorch.orchestrator import Orchestrator
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.faults import Fault

pytestmark = pytest.mark.anyio

_EMPTY = "TRUNCATE ttsorch.tasks, ttsorch.generations, ttsorch.voices, ttsorch.effects"


def _fresh(
    provider: Fake, *, server: Server, database: str, store: PostgresTaskStore, clock: ManualClock
) -> World:
    server.ask(database, _EMPTY)
    return World(provider, clock=clock, store=store)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize(("name", "scenario"), [("job", speak), ("direct, bytes", cancel)])
async def test_a_fault_at_every_place(
    server: Server,
    database: str,
    store: PostgresTaskStore,
    clock: ManualClock,
    name: str,
    scenario: Callable[[Orchestrator], Awaitable[None]],
    fault: Fault,
) -> None:
    """Whatever breaks, the task ends, one blob is published at most, and one job is paid at most."""
    fresh = partial(_fresh, server=server, database=database, store=store, clock=clock)
    async with each_place(PROVIDERS[name], fault, scenario, fresh) as worlds:
        assert len(worlds) >= 5


@pytest.mark.parametrize("fault", Fault)
async def test_a_purge_of_an_owner_survives_a_fault_at_every_place(
    server: Server, database: str, store: PostgresTaskStore, clock: ManualClock, fault: Fault
) -> None:
    """At no moment does a row point to nothing; repeated until it is done, it leaves nothing of the owner,
    and the stranger all."""
    fresh = partial(_fresh, server=server, database=database, store=store, clock=clock)
    broken = await check_each_purge_of_an_owner(MAKERS["job"], fault, fresh)
    assert {"list_unsettled", "purge_owned", "cancel", "delete"} <= broken


@pytest.mark.parametrize("fault", Fault)
async def test_whatever_breaks_the_end_is_told(
    server: Server, database: str, store: PostgresTaskStore, clock: ManualClock, fault: Fault
) -> None:
    """The effect is written with the end of its task, or neither is; each is told, and settled."""
    fresh = partial(_fresh, server=server, database=database, store=store, clock=clock)
    await check_each_end_is_told(lambda: fresh(PROVIDERS["job"]()), fault)
