"""What a run found out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ttsorch.models import JsonValue


class Outcome(StrEnum):
    """``BLOCKED``: a case before it did not get what this one needs, so nobody knows."""

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    NOT_OFFERED = "not_offered"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the contract says. ``request`` is the method, the path
    and what was sent, as they are in the data."""

    request: str
    about: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case. ``reason`` says why it was not carried through; ``notes`` tell what is
    different without being wrong."""

    id: str
    name: str
    theme: str
    proves: tuple[str, ...]
    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One run. ``left`` names what could not be deleted again."""

    url: str
    results: tuple[Result, ...]
    left: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there is no difference. Nothing that could be checked at all isn't a pass."""
        bad = (Outcome.FAILED, Outcome.BLOCKED)
        return self.count(Outcome.PASSED) > 0 and not any(self.count(outcome) for outcome in bad)

    def count(self, outcome: Outcome) -> int:
        return sum(result.outcome is outcome for result in self.results)

    def of(self, case_id: str) -> Result:
        """The result of one case.

        Raises:
            KeyError: it wasn't run.
        """
        for result in self.results:
            if result.id == case_id:
                return result
        raise KeyError(case_id)

    def differences(self) -> Sequence[str]:
        """Every difference in one line, for an assertion's message."""
        return [
            f"{result.id}: {each.request}: {each.about}: expected {each.expected}, got {each.got}"
            for result in self.results
            for each in result.differences
        ] + [
            f"{result.id}: {result.reason}"
            for result in self.results
            if result.outcome is Outcome.BLOCKED
        ]

    def to_record(self) -> Mapping[str, JsonValue]:
        """As JSON; every key is always there."""
        return {
            "url": self.url,
            "passed": self.passed,
            "counts": {outcome.value: self.count(outcome) for outcome in Outcome},
            "cases": [_record(result) for result in self.results],
            "left": self.left,
        }


def _record(result: Result) -> Mapping[str, JsonValue]:
    return {
        "id": result.id,
        "name": result.name,
        "theme": result.theme,
        "proves": result.proves,
        "outcome": result.outcome.value,
        "differences": [
            {
                "request": each.request,
                "about": each.about,
                "expected": each.expected,
                "got": each.got,
            }
            for each in result.differences
        ],
        "notes": result.notes,
        "reason": result.reason,
    }
