"""P7: how long ``import ttsorch`` keeps a process from starting, against ``import replicate``: the CPU time
of a whole Python process, from fork to exit. And what it may not bring along.

``import ttsorch`` looks its names up when they are used, so what a process that submits waits for is told
beside it: ``from ttsorch import Orchestrator``."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, Spread, median, ratio, take_turns

_STARTS = 3
_STATEMENTS = {
    "ttsorch": "import ttsorch",
    "Orchestrator": "from ttsorch import Orchestrator",
    "replicate": "import replicate",
    "an empty process": "pass",
}
_UNWANTED = (
    "httpx", "httpcore", "tenacity", "sqlite3", "psycopg", "obstore", "starlette", "fastapi", "flask",
    "django", "aiohttp", "litestar", "uvicorn", "typer", "rich",
)  # fmt: skip


def run(effort: Effort) -> Iterator[Finding]:
    costs = take_turns(
        {name: partial(_cost, code) for name, code in _STATEMENTS.items()}, effort.rounds
    )
    note = ", ".join(f"{name} {median(costs[name]).value * 1e3:.0f} ms" for name in costs)
    figure = ratio(costs, "ttsorch", "replicate")
    yield Finding("P7", "import ttsorch / import replicate", figure, Bar(0.40), note=note)
    whole = ratio(costs, "Orchestrator", "replicate")
    yield Finding("P7", "from ttsorch import Orchestrator / import replicate", whole)
    brought = _brought()
    count = float(len(brought))
    yield Finding(
        "P7",
        "unwanted modules after from ttsorch import *",
        Spread(count, count, count),
        Bar(0.0),
        "modules",
        " ".join(brought),
    )


def _cost(code: str) -> float:
    before = _children_seconds()
    for _ in range(_STARTS):
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
    return (_children_seconds() - before) / _STARTS


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _brought() -> list[str]:
    """Which of the modules that are only for some hosts every host gets."""
    code = "from ttsorch import *; import sys; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return sorted(set(_UNWANTED) & set(done.stdout.split()))
