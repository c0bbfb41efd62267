"""Each framework with the contract in it, as a real server on a loopback port, over a fresh small world."""

import asyncio
import re
import socket
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import quote, unquote

import anyio
import uvicorn
from aiohttp import web
from anyio.from_thread import start_blocking_portal
from django.core.handlers.asgi import ASGIHandler
from django.core.wsgi import get_wsgi_application
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar, Router, get
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, Route
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.adapters import django_site
from tests.adapters.http import PATIENCE, PLAIN_PAGE, Answer, Client
from tests.contract.world import SIGNING_KEY, World
from ttsorch.adapters._sync_bridge import MakeHandler
from ttsorch.adapters.aiohttp import add_contract
from ttsorch.adapters.asgi import Scope, asgi_app
from ttsorch.adapters.django import contract_urls
from ttsorch.adapters.fastapi import contract_router
from ttsorch.adapters.flask import contract_blueprint
from ttsorch.adapters.litestar import contract_handler
from ttsorch.adapters.starlette import contract_route
from ttsorch.contract import ClientGone, ContractHandler, HttpRequest, HttpResponse
from ttsorch.orchestrator import Orchestrator
from ttsorch.sync import SyncOrchestrator

OpenWorld: TypeAlias = Callable[[], AbstractAsyncContextManager[World]]


class WatchedHandler(ContractHandler):
    """The real handler, and what it was asked."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        super().__init__(orchestrator, signing_key=SIGNING_KEY)
        self.requests: list[HttpRequest] = []
        self.client_left = threading.Event()

    async def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        try:
            return await super().handle(request)
        except ClientGone:
            self.client_left.set()
            raise


@dataclass(frozen=True)
class Served:
    """A world that can be asked over HTTP. ``call`` runs something on the loop that the world lives on."""

    world: World
    handler: WatchedHandler
    client: Client
    call: Callable[[Callable[[], Awaitable[Any]]], Any]

    @property
    def nobody(self) -> Client:
        """The same client without a token of its own."""
        return replace(self.client, token=None)

    def bare(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> Answer:
        """What the handler itself says, without a framework and a server."""

        async def exchange() -> Answer:
            path, _, query = target.partition("?")
            sent = {name.lower(): value for name, value in headers}
            owner = sent.get("authorization", "").removeprefix("Bearer ") or None

            async def authenticate() -> str | None:
                return owner

            async def body() -> AsyncGenerator[bytes, None]:
                yield b""

            response = await self.handler.handle(
                HttpRequest(method, unquote(path), query, sent, body(), authenticate)
            )
            assert isinstance(response.body, bytes)
            return Answer(response.status, response.headers, response.body)

        answer: Answer = self.call(exchange)
        return answer


#: Where ``authenticate`` was called, for tests that look.
asked_in: list[str] = []


def owner_of(request: Any) -> str | None:
    """The token is the owner, if it is one of those; and there is one that nobody should have."""
    asked_in.append(threading.current_thread().name)
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token == "explosive":
        raise RuntimeError("the host's own bug")
    return token if re.fullmatch(r"ann|bob|owner[0-9]+", token) else None


async def owner_of_later(request: Any) -> str | None:
    return owner_of(request)


@dataclass(frozen=True)
class _Connection:
    headers: Mapping[str, str]


def owner_of_scope(scope: Scope) -> str | None:
    pairs: Any = scope["headers"]
    return owner_of(_Connection({name.decode(): value.decode() for name, value in pairs}))


# --- one application for each framework ---------------------------------------------------------------


def _asgi(handler: ContractHandler, prefix: str) -> Any:
    app = asgi_app(handler, owner_of_scope)
    return Starlette(routes=[Mount(prefix, app)]) if prefix else app


def _starlette(handler: ContractHandler, prefix: str) -> Any:
    route = contract_route(handler, owner_of_later)
    page = Route("/page", lambda request: Response(PLAIN_PAGE))
    return Starlette(routes=[Mount(prefix, routes=[route]) if prefix else route, page])


def _fastapi(handler: ContractHandler, prefix: str) -> Any:
    app = FastAPI()
    app.include_router(contract_router(handler, owner_of_later), prefix=prefix)

    @app.get("/page")
    async def page() -> Response:
        return Response(PLAIN_PAGE)

    return app


def _litestar(handler: ContractHandler, prefix: str) -> Any:
    @get("/page", media_type="text/plain")
    async def page() -> bytes:
        return PLAIN_PAGE

    route = contract_handler(handler, owner_of_later)
    mounted = Router(prefix, route_handlers=[route]) if prefix else route
    # Its own logging would take the place of pytest's.
    return Litestar([page, mounted], logging_config=None)


def _flask(tts: SyncOrchestrator, make_handler: MakeHandler, prefix: str) -> Any:
    app = Flask(__name__)
    app.register_blueprint(contract_blueprint(tts, make_handler, owner_of), url_prefix=prefix)

    @app.get("/page")
    def page() -> bytes:
        return PLAIN_PAGE

    return app


def _django(tts: SyncOrchestrator, make_handler: MakeHandler, prefix: str) -> Any:
    django_site.configure()
    django_site.serve_urls(contract_urls(tts, make_handler, owner_of), prefix)
    return get_wsgi_application()


class _TidyDjango(ASGIHandler):
    """Django as it is, but for the file that it keeps a body in and forgets to close when its server ends in
    the middle of a request: some later test would be blamed for it."""

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        received = _Received(receive)
        try:
            await super().handle(scope, received, send)
        finally:
            received.close()

    async def read_body(self, receive: Any) -> Any:
        receive.body = await super().read_body(receive)
        return receive.body


class _Received:
    """What a server hands on; a server that ends is a client that has gone, until the body is there."""

    def __init__(self, receive: Callable[[], Awaitable[Any]]) -> None:
        self._receive = receive
        self.body: Any = None

    async def __call__(self) -> Any:
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if self.body is not None:
                raise
            return {"type": "http.disconnect"}

    def close(self) -> None:
        if self.body is not None:
            self.body.close()


def _django_under_asgi(tts: SyncOrchestrator, make_handler: MakeHandler, prefix: str) -> Any:
    _django(tts, make_handler, prefix)
    return _TidyDjango()


# --- servers ------------------------------------------------------------------------------------------


@asynccontextmanager
async def _uvicorn(app: Any) -> AsyncIterator[int]:
    settings = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        await server.startup(sockets=[listener])
        try:
            yield listener.getsockname()[1]
        finally:
            # Its own shutdown first waits for a tenth of a second.
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def _aiohttp(handler: ContractHandler, prefix: str) -> AsyncIterator[int]:
    app, contract = web.Application(), web.Application()
    add_contract(contract if prefix else app, handler, owner_of_later)
    if prefix:
        app.add_subapp(prefix, contract)

    async def page(request: web.Request) -> web.Response:
        return web.Response(body=PLAIN_PAGE)

    app.router.add_get("/page", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        try:
            await web.SockSite(runner, listener).start()
            yield listener.getsockname()[1]
        finally:
            await runner.cleanup()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@contextmanager
def _werkzeug(app: Any) -> Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


# --- a world and a server over it ---------------------------------------------------------------------


AsyncServer: TypeAlias = Callable[[ContractHandler, str], AbstractAsyncContextManager[int]]
SyncApp: TypeAlias = Callable[[SyncOrchestrator, MakeHandler, str], Any]
SyncServer: TypeAlias = Callable[[Any], AbstractContextManager[int]]


def _under_uvicorn(make_app: Callable[[ContractHandler, str], Any]) -> AsyncServer:
    return lambda handler, prefix: _uvicorn(make_app(handler, prefix))


@contextmanager
def _serve_async(server: AsyncServer, open_world: OpenWorld, prefix: str) -> Iterator[Served]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[World, WatchedHandler, int]]:
        async with open_world() as world:
            handler = WatchedHandler(world.orchestrator)
            async with server(handler, prefix) as port:
                yield world, handler, port

    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(opened()) as (world, handler, port),
    ):
        yield Served(world, handler, Client(port, quote(prefix)), portal.call)


@contextmanager
def _serve_sync(
    make_app: SyncApp, server: SyncServer, open_world: OpenWorld, prefix: str
) -> Iterator[Served]:
    opened: list[World] = []

    @asynccontextmanager
    async def open_orchestrator() -> AsyncIterator[Orchestrator]:
        async with open_world() as world:
            opened.append(world)
            yield world.orchestrator

    with SyncOrchestrator(open_orchestrator) as tts:
        handler = WatchedHandler(opened[0].orchestrator)
        with server(make_app(tts, lambda orchestrator: handler, prefix)) as port:
            client = Client(port, quote(prefix))
            yield Served(opened[0], handler, client, lambda call: tts.run(lambda _: call()))


@contextmanager
def _uvicorn_in_a_thread(app: Any) -> Iterator[int]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(_uvicorn(app)) as port,
    ):
        yield port


Serve: TypeAlias = Callable[[OpenWorld, str], AbstractContextManager[Served]]

FRAMEWORKS: Mapping[str, Serve] = MappingProxyType(
    {
        "asgi": partial(_serve_async, _under_uvicorn(_asgi)),
        "starlette": partial(_serve_async, _under_uvicorn(_starlette)),
        "fastapi": partial(_serve_async, _under_uvicorn(_fastapi)),
        "litestar": partial(_serve_async, _under_uvicorn(_litestar)),
        "aiohttp": partial(_serve_async, _aiohttp),
        "flask": partial(_serve_sync, _flask, _werkzeug),
        "django": partial(_serve_sync, _django, _werkzeug),
        "django-asgi": partial(_serve_sync, _django_under_asgi, _uvicorn_in_a_thread),
    }
)
