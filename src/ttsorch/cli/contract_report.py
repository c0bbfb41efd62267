"""The report of ``ttsorch contract-test`` for people. Imported only when one is printed: rich takes long."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from ttsorch.cli.wording import plain
from ttsorch.conformance import Difference, Outcome, Report, Result
from ttsorch.conformance.rows import ROWS
from ttsorch.conformance.running import Watch

_MARKS = {
    Outcome.PASSED: ("ok", "green"),
    Outcome.FAILED: ("DIFFERENT", "bold red"),
    Outcome.BLOCKED: ("blocked", "yellow"),
    Outcome.NOT_OFFERED: ("not offered", "cyan"),
    Outcome.NOT_APPLICABLE: ("n/a", "dim"),
}
_IN_WORDS = {
    Outcome.PASSED: "passed",
    Outcome.FAILED: "different",
    Outcome.BLOCKED: "blocked",
    Outcome.NOT_OFFERED: "not offered",
    Outcome.NOT_APPLICABLE: "not applicable",
}
_WIDTH = max(len(mark) for mark, _ in _MARKS.values())


def print_report(report: Report) -> None:
    """One line per case, by the row that it proves first; what is different below it; the sum at the end."""
    # Looked up now: a test, or a shell, may have put something else in its place since.
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for row in sorted({result.proves[0] for result in report.results}, key=list(ROWS).index):
        console.print(Text(f"{row}  {ROWS[row]}", "bold"))
        for result in report.results:
            if result.proves[0] == row:
                _print_result(console, result)
    console.print()
    for path in report.left:
        console.print(Text(plain(f"could not be deleted: {path}"), "yellow"))
    counts = [
        f"{report.count(outcome)} {words}"
        for outcome, words in _IN_WORDS.items()
        if report.count(outcome)
    ]
    console.print(Text(f"{plain(report.url)}: {', '.join(counts)}", "bold"))


@contextmanager
def counting(total: int) -> Iterator[Watch]:
    """A bar on standard error, gone when it is left."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bars:
        bar = bars.add_task("Checking", total=total)

        def watch(result: Result) -> None:
            bars.update(bar, description=result.id, advance=1, refresh=True)

        yield watch


def _print_result(console: Console, result: Result) -> None:
    mark, style = _MARKS[result.outcome]
    line = Text("  ").append(f"{mark:<{_WIDTH}}", style).append(f"  {result.name}")
    if result.outcome is not Outcome.PASSED:
        line.append(f"  [{result.id}]", "dim")
    console.print(line)
    indent = " " * (_WIDTH + 4)
    if result.reason:
        console.print(Text(f"{indent}{plain(result.reason)}", "dim"))
    for difference in result.differences:
        _print_difference(console, difference, indent)
    for note in result.notes:
        console.print(Text(f"{indent}note: {plain(note)}", "dim"))


def _print_difference(console: Console, difference: Difference, indent: str) -> None:
    console.print(Text(f"{indent}{plain(difference.request)}: {difference.about}"))
    console.print(Text(f"{indent}  expected  {plain(difference.expected)}", "green"))
    console.print(Text(f"{indent}  got       {plain(difference.got)}", "red"))
