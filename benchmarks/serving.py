"""The process that serves one framework's two applications: ``python -m benchmarks.serving flask``.

Prints one line of JSON, where they are; then answers every line on its standard input with the seconds of
CPU that it has used so far; ends with its standard input. One process serves both, so that they share
whatever this process is like.
"""

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from waitress.server import create_server

from benchmarks.applications import AIOHTTP, ASGI, WSGI
from benchmarks.world import IN_FLIGHT, open_orchestrator, open_world, running_tasks
from ttsorch.sync import SyncOrchestrator


def main(framework: str) -> None:
    """Serve until nobody asks any more."""
    logging.disable(logging.WARNING)
    with ExitStack() as stack:
        if framework in WSGI:
            place = stack.enter_context(_wsgi(framework))
        else:
            portal = stack.enter_context(start_blocking_portal("asyncio"))
            served = _aiohttp(framework) if framework in AIOHTTP else _asgi(framework)
            place = stack.enter_context(portal.wrap_async_context_manager(served))
        _say(json.dumps(place))
        for _ in sys.stdin:
            _say(repr(time.process_time()))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _place(task_ids: Sequence[str], adapter: int, bare: int, prefix: str = "") -> dict[str, object]:
    return {"task_ids": task_ids, "adapter": adapter, "bare": bare, "prefix": prefix}


@asynccontextmanager
async def _asgi(framework: str) -> AsyncIterator[dict[str, object]]:
    async with open_world() as world:
        pair = ASGI[framework](world.orchestrator)
        async with _uvicorn(pair.adapter) as adapter, _uvicorn(pair.bare) as bare:
            yield _place(world.task_ids, adapter, bare)


@asynccontextmanager
async def _uvicorn(app: Any) -> AsyncIterator[int]:
    """As a host runs it, but without its log of every request."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup(sockets=[listener])
        try:
            yield listener.getsockname()[1]
        finally:
            server.force_exit = True
            await server.shutdown()


@asynccontextmanager
async def _aiohttp(framework: str) -> AsyncIterator[dict[str, object]]:
    async with open_world() as world:
        pair = AIOHTTP[framework](world.orchestrator)
        async with _runner(pair.adapter) as adapter, _runner(pair.bare) as bare:
            yield _place(world.task_ids, adapter, bare)


@asynccontextmanager
async def _runner(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            await web.SockSite(runner, listener).start()
            yield listener.getsockname()[1]
        finally:
            await runner.cleanup()


@contextmanager
def _wsgi(framework: str) -> Iterator[dict[str, object]]:
    with SyncOrchestrator(open_orchestrator) as tts:
        pair = WSGI[framework](tts)
        adapter, bare = _waitress(pair.adapter), _waitress(pair.bare)
        yield _place(tts.run(running_tasks), adapter, bare, pair.prefix)


def _waitress(app: Callable[..., Any]) -> int:
    """A server of threads that keeps connections; Flask's and Django's own don't. Ends with the process."""
    server = create_server(app, host="127.0.0.1", port=0, threads=IN_FLIGHT)
    threading.Thread(target=server.run, daemon=True).start()
    port: int = server.effective_port
    return port


if __name__ == "__main__":
    main(sys.argv[1])
