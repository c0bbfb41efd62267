"""P6: how many due tasks ``sweep_once`` does in a second when there is nothing to do in any, against the jobs
of Procrastinate's worker and the workflows of one step of DBOS. The same server, a database and a process of
its own for each round; all work at as many tasks at once as a sweep does.

A task is claimed, its provider asked, and the provider's new word written. ``nothing new`` is a sweep that
finds the word on the row already, and so writes no more than the claim, as most do.
"""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.database import SETTINGS, new_database
from benchmarks.findings import Bar, Finding
from benchmarks.pairs import FEWEST_ROUNDS, Effort, median, ratio, take_turns
from benchmarks.sweeping import WHO
from tests.postgres.server import Server, running_server

_TASKS = 500


def run(effort: Effort) -> Iterator[Finding]:
    tasks = effort.calls(_TASKS)
    with running_server(SETTINGS) as server:
        turns = {name: partial(_cost, server, name, tasks) for name in WHO}
        # Each round starts a process anew: there is nothing to warm up, and it takes long.
        costs = take_turns(turns, min(effort.rounds, FEWEST_ROUNDS), warm_up=0)
    note = ", ".join(f"{name} {1 / median(costs[name]).value:.0f}/s" for name in costs)
    worker, workflows = "procrastinate's worker", "DBOS workflow and step"
    for ours in ("sweep", "sweep, nothing new"):
        for theirs, who, bar in ((worker, "procrastinate", 4.0), (workflows, "dbos", 10.0)):
            figure = ratio(costs, who, ours)
            yield Finding("P6", f"{ours} / {theirs}", figure, Bar(bar, at_least=True), note=note)


def _cost(server: Server, who: str, tasks: int) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.sweeping", who]
    done = subprocess.run(  # noqa: S603
        [*command, new_database(server), str(tasks)], check=True, capture_output=True, text=True
    )
    return float(done.stdout) / tasks
