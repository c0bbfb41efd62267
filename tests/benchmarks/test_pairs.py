"""The benchmarks' own arithmetic: turns, medians, ratios, verdicts. On costs that are made up."""

from collections.abc import Iterator
from itertools import count

import pytest

from benchmarks.findings import Bar, Finding, table
from benchmarks.pairs import Spread, cpu_per_call, median, ratio, take_turns, wall_per_call
from benchmarks.plot import svg


def test_each_round_measures_every_variant_and_begins_with_the_next_one() -> None:
    """Nobody always goes first, when a core is still cool, or last."""
    order: list[str] = []

    def measured(name: str) -> float:
        order.append(name)
        return 1.0

    take_turns({name: lambda name=name: measured(name) for name in "abc"}, 3, warm_up=0)  # type: ignore[misc]
    assert "".join(order) == "abc" + "bca" + "cab"


def test_rounds_that_warm_up_do_not_count() -> None:
    """The first round fills caches, and says nothing."""
    ticks: Iterator[int] = count()
    costs = take_turns({"a": lambda: float(next(ticks))}, 3, warm_up=2)
    assert costs == {"a": [2.0, 3.0, 4.0]}


def test_the_ratio_is_that_of_the_medians() -> None:
    """One round in which the machine was busy changes nothing."""
    found = ratio({"ours": [2.0, 2.0, 90.0], "theirs": [1.0, 1.0, 1.0]}, "ours", "theirs")
    assert found.value == 2.0


def test_the_spread_is_of_the_ratios_of_each_round() -> None:
    """A machine that slows down for both variants alike doesn't widen it."""
    found = ratio({"ours": [2.0, 4.0, 8.0], "theirs": [1.0, 2.0, 4.0]}, "ours", "theirs")
    assert found == Spread(2.0, 2.0, 2.0)


def test_the_quartiles_hold_half_of_the_rounds() -> None:
    """As they are usually told."""
    assert median([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert median([7.0]) == Spread(7.0, 7.0, 7.0)


@pytest.mark.parametrize("clock", [cpu_per_call, wall_per_call])
def test_a_clock_divides_by_the_calls_that_were_made(clock: object) -> None:
    """What is reported is per call, and the work is asked for exactly so many."""
    asked: list[int] = []

    def work(calls: int) -> None:
        asked.append(calls)
        for _ in range(calls):
            sum(range(2000))

    assert callable(clock)
    of_many, of_few = clock(400, work), clock(40, work)
    assert asked == [400, 40]
    assert 0 < of_many < 8 * of_few


@pytest.mark.parametrize(
    ("bar", "value", "verdict"),
    [
        (Bar(1.15), 1.15, "met"),
        (Bar(1.15), 1.16, "MISSED"),
        (Bar(3.0, at_least=True), 3.0, "met"),
        (Bar(3.0, at_least=True), 2.9, "MISSED"),
        (None, 9.0, ""),
    ],
)
def test_a_figure_is_held_against_its_bar(bar: Bar | None, value: float, verdict: str) -> None:
    """At the bar itself it is met; without a bar nothing is said."""
    assert Finding("P0", "this / that", Spread(value, value, value), bar).verdict == verdict


def test_a_missed_bar_is_shown_in_table_and_plot() -> None:
    """Nobody has to compute anything to see it."""
    findings = [
        Finding("P1", "slow & steady", Spread(1.5, 1.4, 1.6), Bar(1.15), note="a note"),
        Finding("P2", "quick", Spread(0.5, 0.4, 0.6), Bar(1.15)),
        Finding("P3", "only good to know", Spread(1.0, 1.0, 1.0)),
    ]
    shown = table(findings).splitlines()
    assert len({len(line) for line in shown}) == 1
    assert _cells(shown[2])[2:] == ["1.50 x", "1.40 to 1.60", "≤ 1.15 x", "MISSED", "a note"]
    assert "met" in _cells(shown[3])
    drawn = svg(findings)
    assert "slow &amp; steady" in drawn
    assert "only good to know" not in drawn


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
