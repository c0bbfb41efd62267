"""Servers to test the suite on: the contract's handler on a loopback socket, right or broken on purpose."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import cast

import anyio
import uvicorn
from anyio.from_thread import start_blocking_portal

from ttsorch.adapters.asgi import AsgiApp, Scope, asgi_app
from ttsorch.conformance import Outcome, Plan, Report, Settings, Tokens, run_contract
from ttsorch.contract import ContractHandler
from ttsorch.models import Policy
from ttsorch.orchestrator import Orchestrator
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

TOKENS = Tokens(owner="token-of-ann", other="token-of-bob")
OWNERS = {"Bearer token-of-ann": "ann", "Bearer token-of-bob": "bob"}
SIGNING_KEY = b"0123456789abcdef0123456789abcdef"

#: In seconds. Nobody waits longer than a machine that tests share needs.
QUICK = Settings(patience=30.0, deadline=30.0, longest_pause=0.02)

#: Stands between the server and the handler.
Middleware = Callable[[AsgiApp], AsgiApp]


def run(url: str, what: Plan | None = None, tokens: Tokens = TOKENS) -> Report:
    """The whole suite, or a part of it, over one server."""

    async def go() -> Report:
        return await run_contract(url, tokens, what=what, settings=QUICK)

    return anyio.run(go)


def ids(report: Report, outcome: Outcome) -> set[str]:
    """Of the cases that ended like this."""
    return {result.id for result in report.results if result.outcome is outcome}


@contextmanager
def serving(
    provider: FakeJobProvider | FakeDirectProvider, middleware: Middleware | None = None
) -> Iterator[str]:
    """The handler over memory stores and ``provider``; the URL. In a thread of its own, so that it goes on
    while the test waits."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_handler(provider)) as app,
        portal.wrap_async_context_manager(listening(middleware(app) if middleware else app)) as url,
    ):
        yield url


@asynccontextmanager
async def _handler(provider: FakeJobProvider | FakeDirectProvider) -> AsyncIterator[AsgiApp]:
    store = MemoryTaskStore()
    # Jobs that nobody polls are looked after often, but not so often that a cancel comes too late.
    policy = Policy(check_interval=0.5, sweep_interval=0.1)
    async with Orchestrator(
        provider=provider, tasks=store, voices=store, blobs=MemoryBlobStore(), policy=policy
    ) as orchestrator:
        yield asgi_app(ContractHandler(orchestrator, signing_key=SIGNING_KEY), _owner)


def _owner(scope: Scope) -> str | None:
    pairs = cast(list[tuple[bytes, bytes]], scope["headers"])
    sent = [value.decode("latin-1") for name, value in pairs if name == b"authorization"]
    return OWNERS.get(sent[0]) if len(sent) == 1 else None


@asynccontextmanager
async def listening(app: AsgiApp) -> AsyncIterator[str]:
    """``app`` behind uvicorn, on a port of its own."""
    settings = uvicorn.Config(
        cast("uvicorn._types.ASGIApplication", app),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = _Server(settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await server.ready.wait()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
