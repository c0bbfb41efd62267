"""A suite is worth what it notices: servers that do one thing wrong, each noticed by the case about it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conformance.breaking import Breaking, Mutant
from tests.conformance.serving import run, serving
from tests.conformance.wrong_casting import CASTING, OWNERS
from tests.conformance.wrong_conventions import CONVENTIONS, GENERATE
from tests.conformance.wrong_media import MEDIA, VOICES
from tests.conformance.wrong_tasks import HISTORY, TASKS
from ttsorch.adapters.asgi import AsgiApp
from ttsorch.conformance import Outcome, plan, shipped_cases
from ttsorch.testing.fake_voices import FakeDesigningJobProvider

MUTANTS = [
    *CONVENTIONS,
    *GENERATE,
    *TASKS,
    *HISTORY,
    *MEDIA,
    *VOICES,
    *CASTING,
    *OWNERS,
]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Breaking]]:
    """One right server for all, and what stands in front of it."""
    fronts: list[Breaking] = []

    def in_front(app: AsgiApp) -> AsgiApp:
        fronts.append(Breaking(app))
        return fronts[0]

    with serving(FakeDesigningJobProvider(checks_until_ready=1), in_front) as url:
        yield url, fronts[0]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.case}: {mutant.does}")
def test_a_wrong_server_is_noticed(server: tuple[str, Breaking], mutant: Mutant) -> None:
    """By the case that it is about."""
    url, front = server
    mutant = replace(mutant, count=0, seen={})
    front.mutant, front.failures = mutant, []
    try:
        report = run(url, plan(only=[mutant.case]))
    finally:
        front.mutant = None

    assert front.failures == []
    assert report.of(mutant.case).outcome is Outcome.FAILED
    assert not report.passed
    assert mutant.count > 0


#: Cases that this server doesn't meet, and one that another provider's voice needs.
_ELSEWHERE = {
    "task-modal-fields",
    "voices-modal-has-none",
    "generate-foreign-provider",
    "audio-elsewhere",
    "clone-header",
}


def test_every_case_has_a_wrong_server() -> None:
    """A case that nothing ever failed proves nothing."""
    noticed = {mutant.case for mutant in MUTANTS}

    assert {case.id for case in shipped_cases()} - noticed == _ELSEWHERE
