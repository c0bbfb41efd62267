"""Which cases are run, and what they may cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ttsorch.conformance.library import THEMES, shipped_cases, theme_of
from ttsorch.conformance.schema import Case, Cost
from ttsorch.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Plan:
    """Cases in order: those that were chosen, and before them those that they need. With ``paid`` False,
    what may cost something is left out."""

    cases: tuple[Case, ...]
    paid: bool = True

    @property
    def cost(self) -> Cost:
        """At most; a server that already has a voice, or can't make any, costs less."""
        paid = [case.cost for case in self.cases] if self.paid else []
        return Cost(
            speeches=sum(cost.speeches for cost in paid), voices=sum(cost.voices for cost in paid)
        )

    def in_words(self) -> str:
        """What somebody who pays the bill should know before."""
        cost = self.cost
        if not cost.speeches and not cost.voices:
            return f"{_many(len(self.cases), 'case')}; nothing is spoken and no voice is made."
        speeches = _many(cost.speeches, "short speech", "short speeches")
        return (
            f"{_many(len(self.cases), 'case')}. This makes up to {speeches} and"
            f" {_many(cost.voices, 'voice')}; what it makes it deletes."
        )


def _many(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def plan(*, rows: Collection[str] = (), only: Collection[str] = (), paid: bool = True) -> Plan:
    """The cases that prove one of ``rows`` (R3, C7, A1, 4.5) and are, or belong to the theme, of one of
    the names in ``only``. Empty: all.

    Raises:
        ValidationError: one of them means nothing.
    """
    cases = shipped_cases()
    _refuse_unknown(rows, {row for case in cases for row in case.proves}, "row")
    _refuse_unknown(only, {*THEMES, *(case.id for case in cases)}, "theme or case")
    chosen = {
        case.id
        for case in cases
        if (not rows or set(rows) & set(case.proves))
        and (not only or {case.id, theme_of(case)} & set(only))
    }
    by_id = {case.id: case for case in cases}
    for case_id in list(chosen):
        chosen |= _needed(by_id[case_id], by_id)
    return Plan(tuple(case for case in cases if case.id in chosen), paid)


def _needed(case: Case, by_id: dict[str, Case]) -> set[str]:
    found: set[str] = set()
    for need in case.needs:
        found |= {need} | _needed(by_id[need], by_id)
    return found


def _refuse_unknown(wanted: Collection[str], known: Collection[str], kind: str) -> None:
    unknown: Sequence[str] = [each for each in wanted if each not in known]
    if unknown:
        raise ValidationError(
            f"There is no {kind} '{unknown[0]:.40}' in the exchanges.", code="usage", field=kind
        )
