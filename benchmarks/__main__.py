"""``python -m benchmarks [NAME ...]``: run them, print the table, write it down. A missed bar is shown, and
is no error."""

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from benchmarks.findings import Finding, table
from benchmarks.pairs import QUICK, Effort
from benchmarks.plot import svg

#: In this order. Each is a module with a function ``run``.
BENCHMARKS = (
    "adapters", "overhead", "polls", "polls_postgres", "submits", "sweeps", "commits", "growth", "storing",
    "uploads", "imports",
)  # fmt: skip
_RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 whether or not the bars were met."""
    asked = _parser().parse_args(arguments)
    effort = QUICK if asked.quick else Effort()
    findings = list(_found(asked.names or BENCHMARKS, effort))
    written = f"{_machine()}\n\n{table(findings)}\n"
    sys.stdout.write(f"\n{written}")
    asked.results.mkdir(parents=True, exist_ok=True)
    (asked.results / "table.md").write_text(written, encoding="utf-8")
    (asked.results / "bars.svg").write_text(svg(findings), encoding="utf-8")
    sys.stderr.write(f"written to {asked.results}\n")
    if asked.json is not None:
        told = {"machine": _machine(), "findings": [finding.as_json() for finding in findings]}
        asked.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--quick", action="store_true", help="only to see that everything runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the findings as JSON, too")
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", default=_RESULTS, help="for table.md and bars.svg"
    )
    return parser


def _found(names: Sequence[str], effort: Effort) -> Iterator[Finding]:
    for name in names:
        run = cast(
            Callable[[Effort], Iterator[Finding]],
            importlib.import_module(f"benchmarks.{name}").run,
        )
        for finding in run(effort):
            # Some take minutes: say what is known so far.
            sys.stderr.write(f"{finding.name}: {finding.what}: {finding.figure.value:.2f}")
            sys.stderr.write(f" {finding.unit} {finding.verdict}\n")
            yield finding


def _machine() -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, Python {platform.python_version()},"
        f" {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
