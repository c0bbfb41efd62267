"""The shipped state machine, over the stores in memory."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ttsorch.testing.orchestrator_machine import OrchestratorMachine

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def test_no_sequence_of_events_breaks_an_invariant() -> None:
    """Submits, polls, cancels, crashes, lost replies and clock steps in any order keep I1 to I20."""
    run_state_machine_as_test(
        OrchestratorMachine,
        settings=settings(
            max_examples=200,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=QUIET,
        ),
    )


@pytest.mark.deep
def test_no_longer_sequence_of_events_breaks_an_invariant() -> None:
    """The same with many more and longer sequences."""
    run_state_machine_as_test(
        OrchestratorMachine,
        settings=settings(
            max_examples=3000,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=QUIET,
        ),
    )
