"""What a benchmark found, and whether that is within its bar."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from benchmarks.pairs import Spread

Json: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Bar:
    """What was promised of a figure: at most so much, or with ``at_least`` at least so much."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. ``name`` is that of the bar or the benchmark, ``what`` says what was compared;
    ``unit`` is ``x`` for a ratio. ``bar`` is None for what is only good to know."""

    name: str
    what: str
    figure: Spread
    bar: Bar | None = None
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        return "met" if self.bar.holds(self.figure.value) else "MISSED"

    def as_json(self) -> Json:
        return {**asdict(self), "verdict": self.verdict}


def table(findings: Sequence[Finding]) -> str:
    """In Markdown, which is readable as it is."""
    head = ("", "what", "figure", "half of the rounds", "bar", "", "note")
    rows = [head, *map(_row, findings)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line(row, widths) for row in rows]
    lines.insert(1, _line(tuple("-" * width for width in widths), widths))
    return "\n".join(lines)


def _row(finding: Finding) -> tuple[str, ...]:
    figure, unit = finding.figure, finding.unit
    spread = f"{_number(figure.low)} to {_number(figure.high)}"
    return (
        finding.name,
        finding.what,
        f"{_number(figure.value)} {unit}",
        spread,
        _bar(finding),
        finding.verdict,
        finding.note,
    )


def _bar(finding: Finding) -> str:
    if finding.bar is None:
        return ""
    sign = "≥" if finding.bar.at_least else "≤"
    return f"{sign} {finding.bar.limit:g} {finding.unit}"


def _number(value: float) -> str:
    return (
        f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
        if abs(value) < 100
        else f"{value:.0f}"
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"
