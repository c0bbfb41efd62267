"""What an adapter costs, against a route written by hand for the same framework: at most 1.15x.

GET /api/tasks/{id} of a task that is active, over memory and a provider that costs nothing; and GET
/api/health, where there is nothing but the way there and back. Measured twice:

* *served*: a real server in a process of its own (uvicorn, aiohttp's, waitress), eight kept
  connections; the CPU time of the server's process. This is what a request costs a host, and has the bar.
* *in process*: the application called without a server. What a server costs is shared by both sides and
  makes a ratio look better; here it doesn't.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial

from anyio.from_thread import start_blocking_portal

from benchmarks.applications import AIOHTTP, ASGI, WSGI, Pair
from benchmarks.findings import Bar, Finding
from benchmarks.in_process import AsgiCaller, WsgiCaller
from benchmarks.pairs import Effort, Measure, cpu_per_call, median, ratio, repeat, take_turns
from benchmarks.served import serve
from benchmarks.world import open_orchestrator, open_world, running_tasks
from ttsorch.sync import SyncOrchestrator

_BARS = {"asgi against FastAPI": Bar(0.6)}
_BAR = Bar(1.15)
#: Short rounds and many of them: what a neighbour does to a core changes within a second.
_CALLS = 100
_ROUNDS = 2
_PATHS = ("task", "health")
#: These move on between two polls.
_CHANGING = ("provider_poll_count", "poll_after_ms")


def run(effort: Effort) -> Iterator[Finding]:
    for framework in (*ASGI, *AIOHTTP, *WSGI):
        yield from _served(framework, effort)
    for framework in ASGI:
        yield from _asgi_in_process(framework, effort)
    for framework in WSGI:
        yield from _wsgi_in_process(framework, effort)


def _served(framework: str, effort: Effort) -> Iterator[Finding]:
    with (
        serve(framework) as server,
        closing(server.client("adapter")) as adapter,
        closing(server.client("bare")) as bare,
    ):
        for what in _PATHS:
            paths = [_path(what, task_id) for task_id in server.task_ids]
            _check_same(adapter.get(paths)[0], bare.get(paths)[0])
            calls = effort.calls(_CALLS)
            variants: Mapping[str, Measure] = {
                "adapter": partial(adapter.cost, paths, calls),
                "bare": partial(bare.cost, paths, calls),
            }
            yield _finding(framework, f"{what}, served", variants, effort, _bar(framework, what))


def _asgi_in_process(framework: str, effort: Effort) -> Iterator[Finding]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_world()) as world,
    ):
        pair = ASGI[framework](world.orchestrator)
        for what in _PATHS:
            path = _path(what, world.task_ids[0])
            adapter, bare = AsgiCaller(pair.adapter, path), AsgiCaller(pair.bare, path)
            _check_same(portal.call(adapter.ask), portal.call(bare.ask))

            def cost(caller: AsgiCaller) -> float:
                calls = effort.calls(_CALLS)
                return cpu_per_call(calls, lambda count: portal.call(repeat, count, caller.ask))

            variants = {"adapter": partial(cost, adapter), "bare": partial(cost, bare)}
            yield _finding(framework, f"{what}, in process", variants, effort, None)


def _wsgi_in_process(framework: str, effort: Effort) -> Iterator[Finding]:
    with _sync_pair(framework) as (pair, task_id):
        for what in _PATHS:
            path = _path(what, task_id)
            adapter, bare = (
                WsgiCaller(pair.adapter, path),
                WsgiCaller(pair.bare, pair.prefix + path),
            )
            _check_same(adapter.ask(), bare.ask())

            def cost(caller: WsgiCaller) -> float:
                return cpu_per_call(effort.calls(_CALLS), caller.repeat)

            variants = {"adapter": partial(cost, adapter), "bare": partial(cost, bare)}
            yield _finding(framework, f"{what}, in process", variants, effort, None)


@contextmanager
def _sync_pair(framework: str) -> Iterator[tuple[Pair, str]]:
    with SyncOrchestrator(open_orchestrator) as tts:
        yield WSGI[framework](tts), tts.run(running_tasks)[0]


def _finding(
    framework: str, what: str, variants: Mapping[str, Measure], effort: Effort, bar: Bar | None
) -> Finding:
    costs = take_turns(variants, effort.rounds * _ROUNDS)
    note = " / ".join(
        f"{name} {median(costs[name]).value * 1e6:.0f} us" for name in ("adapter", "bare")
    )
    return Finding(framework, what, ratio(costs, "adapter", "bare"), bar, note=note)


def _path(what: str, task_id: str) -> str:
    return f"/api/tasks/{task_id}" if what == "task" else "/api/health"


def _bar(framework: str, what: str) -> Bar | None:
    return _BARS.get(framework, _BAR) if what == "task" else None


def _check_same(adapter: bytes, bare: bytes) -> None:
    """Two routes that don't answer the same can't be compared."""
    one, other = json.loads(adapter), json.loads(bare)
    different = {key for key in {*one, *other} if one.get(key) != other.get(key)}
    if not different <= set(_CHANGING):
        raise AssertionError(f"the two answers differ in {sorted(different)}")
