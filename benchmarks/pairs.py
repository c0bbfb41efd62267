"""Paired measurements: variants take turns in rounds, and what is quoted is a ratio of medians.

On a machine that others use too, times drift by a third within minutes, but they drift for all variants
alike. So each round measures every variant once, in an order that rotates from round to round, and each
round's ratio is a measurement of its own: their quartiles say how far to trust the figure.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

#: Measures its variant once and returns what one unit of its work costs, in seconds (or whatever unit all
#: variants of a comparison share).
Measure: TypeAlias = Callable[[], float]
#: What each variant cost, round by round.
Rounds: TypeAlias = Mapping[str, Sequence[float]]

FEWEST_ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: ``rounds`` of each comparison, and ``scale`` of each round's calls, so that a
    quick look and a careful one run the same code."""

    rounds: int = 9
    scale: float = 1.0

    def calls(self, full: int, *, least: int = 1) -> int:
        """How many calls make a round that has ``full`` of them at full scale."""
        return max(least, round(full * self.scale))


#: Says that everything runs, and little more.
QUICK = Effort(rounds=3, scale=0.05)


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure with the quartiles of its rounds."""

    value: float
    low: float
    high: float


def take_turns(variants: Mapping[str, Measure], rounds: int, *, warm_up: int = 1) -> Rounds:
    """Measure every variant once per round, each round beginning with the next one. The rounds of the
    ``warm_up`` fill caches and pools, and are dropped.

    The garbage that a variant makes is its own: what was there before is collected first, and the
    collector stays on.
    """
    names = list(variants)
    costs: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            cost = variants[name]()
            if number >= warm_up:
                costs[name].append(cost)
    return costs


def median(costs: Sequence[float]) -> Spread:
    """The middle of all rounds."""
    low, high = _quartiles(costs)
    return Spread(statistics.median(costs), low, high)


def ratio(rounds: Rounds, ours: str, theirs: str) -> Spread:
    """How much ``ours`` costs of what ``theirs`` does: the ratio of the medians, with the quartiles of the
    ratios of each round."""
    pairs = zip(rounds[ours], rounds[theirs], strict=True)
    low, high = _quartiles([mine / other for mine, other in pairs])
    value = statistics.median(rounds[ours]) / statistics.median(rounds[theirs])
    return Spread(value, low, high)


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


# --- clocks -------------------------------------------------------------------------------------------


def cpu_per_call(calls: int, work: Callable[[int], object]) -> float:
    """Seconds of CPU of this whole process, its threads included, for each of the calls that ``work``
    makes. On a core that others use too, it is what stays the same."""
    before = time.process_time()
    work(calls)
    return (time.process_time() - before) / calls


def wall_per_call(calls: int, work: Callable[[int], object]) -> float:
    """Seconds on the wall for each of the calls that ``work`` makes: for what waits for a disk."""
    before = time.perf_counter()
    work(calls)
    return (time.perf_counter() - before) / calls


async def repeat(calls: int, call: Callable[[], Awaitable[object]]) -> None:
    """One after the other."""
    for _ in range(calls):
        await call()
