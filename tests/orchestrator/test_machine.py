"""The shipped state machine, over the stores in memory and over files."""

import tempfile
from functools import partial
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ttsorch.models import Clock
from ttsorch.protocols import BlobStore
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.orchestrator_machine import OrchestratorMachine


class OverFiles(OrchestratorMachine):
    """What a machine really keeps between two processes."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()

    def make_tasks(self, clock: Clock) -> SqliteTaskStore:
        path = Path(self._folder.name, "tasks.db")
        return anyio.run(partial(SqliteTaskStore.open, path, clock=clock))

    def make_blobs(self, clock: Clock) -> BlobStore:
        return FilesystemBlobStore(Path(self._folder.name, "blobs"))

    def teardown(self) -> None:
        super().teardown()
        self._folder.cleanup()


def run(machine: type[OrchestratorMachine], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_sequence_of_events_breaks_an_invariant() -> None:
    """Submits, polls, cancels, crashes, lost replies and clock steps in any order keep I1 to I20."""
    run(OrchestratorMachine, examples=200, steps=30)


def test_no_sequence_of_events_breaks_an_invariant_over_files() -> None:
    """The same over SQLite and a folder."""
    run(OverFiles, examples=25, steps=20)


@pytest.mark.deep
@pytest.mark.parametrize(("machine", "examples"), [(OrchestratorMachine, 3000), (OverFiles, 300)])
def test_no_longer_sequence_of_events_breaks_an_invariant(
    machine: type[OrchestratorMachine], examples: int
) -> None:
    """The same with many more and longer sequences."""
    run(machine, examples=examples, steps=60)
