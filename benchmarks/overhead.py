"""What ``ContractHandler.handle`` adds, before any framework: against ``poll_once`` and JSON of the same
keys, written by hand. No bar of its own: it is most of what an adapter has to pay for."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from functools import partial

from anyio.from_thread import start_blocking_portal

from benchmarks.by_hand import task_dict
from benchmarks.findings import Finding
from benchmarks.in_process import HEADERS
from benchmarks.pairs import Effort, Measure, cpu_per_call, median, ratio, repeat, take_turns
from benchmarks.world import OWNER, SIGNING_KEY, World, open_world
from ttsorch.contract import ContractHandler, HttpRequest

_CALLS = 400


def run(effort: Effort) -> Iterator[Finding]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_world()) as world,
    ):
        sides: Mapping[str, Callable[[], Awaitable[object]]] = {
            "handle": _Handler(world).ask,
            "by hand": partial(_by_hand, world),
            "poll_once": partial(_poll, world),
            "handle health": _Handler(world, "/api/health").ask,
        }

        def cost(side: str) -> float:
            calls = effort.calls(_CALLS)
            return cpu_per_call(calls, lambda count: portal.call(repeat, count, sides[side]))

        turns: Mapping[str, Measure] = {side: partial(cost, side) for side in sides}
        costs = take_turns(turns, effort.rounds * 2)
    note = ", ".join(f"{side} {median(costs[side]).value * 1e6:.0f} us" for side in sides)
    figure = ratio(costs, "handle", "by hand")
    yield Finding("handler", "handle / poll_once and JSON by hand", figure, note=note)


async def _by_hand(world: World) -> bytes:
    job = await world.orchestrator.poll_once(world.task_ids[0], owner=OWNER)
    return json.dumps(task_dict(job, world.orchestrator.now())).encode()


async def _poll(world: World) -> None:
    await world.orchestrator.poll_once(world.task_ids[0], owner=OWNER)


class _Handler:
    """The handler, asked for one path as an adapter asks it."""

    def __init__(self, world: World, path: str = "") -> None:
        self._handler = ContractHandler(world.orchestrator, signing_key=SIGNING_KEY)
        self._path = path or f"/api/tasks/{world.task_ids[0]}"
        self._headers = dict(HEADERS)

    async def ask(self) -> None:
        response = await self._handler.handle(
            HttpRequest("GET", self._path, "", self._headers, _no_body(), _owner)
        )
        if response.status != 200:
            raise AssertionError(f"answered {response.status}")


async def _owner() -> str:
    return OWNER


async def _no_body() -> AsyncGenerator[bytes, None]:
    yield b""
