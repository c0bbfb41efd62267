"""The shipped state machines, over PostgreSQL."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.orchestrator.test_machine import run
from tests.postgres.other_loops import on_its_own_loop
from tests.postgres.server import Server
from ttsorch.models import Clock
from ttsorch.protocols import TaskStore
from ttsorch.store import TaskAndVoiceStore
from ttsorch.store.postgres import PostgresTaskStore
from ttsorch.testing.orchestrator_machine import OrchestratorMachine
from ttsorch.testing.task_store_machine import TaskStoreMachine

_EMPTY = "TRUNCATE ttsorch.tasks, ttsorch.generations, ttsorch.voices, ttsorch.effects"


def _orchestrators(server: Server, database: str) -> type[OrchestratorMachine]:
    class OverPostgres(OrchestratorMachine):
        def make_tasks(self, clock: Clock) -> TaskAndVoiceStore:
            server.ask(database, _EMPTY)
            return on_its_own_loop(server.url(database), clock)

    return OverPostgres


def test_no_difference_from_the_model(server: Server, database: str) -> None:
    """Whatever is done to it, the store holds what two dicts would hold."""

    class Machine(TaskStoreMachine):
        async def open_store(self, clock: Clock) -> TaskStore:
            server.ask(database, _EMPTY)
            return await PostgresTaskStore.open(server.url(database), clock=clock)

    run_state_machine_as_test(Machine, settings=settings(max_examples=15, stateful_step_count=30))


def test_no_sequence_of_events_breaks_an_invariant(server: Server, database: str) -> None:
    """Submits, polls, cancels, crashes, lost replies and clock steps in any order keep I1 to I20."""
    run(_orchestrators(server, database), examples=8, steps=20)


@pytest.mark.deep
def test_no_longer_sequence_of_events_breaks_an_invariant(server: Server, database: str) -> None:
    """The same with many more and longer sequences."""
    run(_orchestrators(server, database), examples=200, steps=60)
