"""For each framework its two applications: with the adapter, and with a bare route."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from aiohttp import web
from fastapi import FastAPI
from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks import bare_asgi, bare_wsgi
from benchmarks.world import OWNERS, SIGNING_KEY
from ttsorch.adapters.aiohttp import add_contract
from ttsorch.adapters.asgi import Scope, asgi_app
from ttsorch.adapters.django import contract_urls
from ttsorch.adapters.fastapi import contract_router
from ttsorch.adapters.flask import contract_blueprint
from ttsorch.adapters.litestar import contract_handler
from ttsorch.adapters.starlette import contract_route
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator
from ttsorch.sync import SyncOrchestrator


@dataclass(frozen=True, slots=True)
class Pair:
    """``prefix`` is what a path begins with in the bare application, where both are one."""

    adapter: Any
    bare: Any
    prefix: str = ""


Applications: TypeAlias = Mapping[str, Callable[[Orchestrator], Pair]]
SyncApplications: TypeAlias = Mapping[str, Callable[[SyncOrchestrator], Pair]]

_handler = partial(ContractHandler, signing_key=SIGNING_KEY)


def _owner(request: Any) -> str | None:
    return OWNERS.get(request.headers.get("authorization", ""))


def _owner_of_scope(scope: Scope) -> str | None:
    for name, value in cast(list[tuple[bytes, bytes]], scope["headers"]):
        if name == b"authorization":
            return OWNERS.get(value.decode())
    return None


def _asgi(orchestrator: Orchestrator) -> Pair:
    # Bare ASGI has no routes; P12 holds the adapter against those of Starlette.
    return Pair(
        asgi_app(_handler(orchestrator), _owner_of_scope), bare_asgi.starlette(orchestrator)
    )


def _asgi_and_fastapi(orchestrator: Orchestrator) -> Pair:
    return Pair(asgi_app(_handler(orchestrator), _owner_of_scope), bare_asgi.fastapi(orchestrator))


def _mounted(orchestrator: Orchestrator) -> Pair:
    app = asgi_app(_handler(orchestrator), _owner_of_scope)
    return Pair(Starlette(routes=[Mount("/api", app)]), bare_asgi.starlette(orchestrator))


def _starlette(orchestrator: Orchestrator) -> Pair:
    app = Starlette(routes=[contract_route(_handler(orchestrator), _owner)])
    return Pair(app, bare_asgi.starlette(orchestrator))


def _fastapi(orchestrator: Orchestrator) -> Pair:
    app = FastAPI()
    app.include_router(contract_router(_handler(orchestrator), _owner))
    return Pair(app, bare_asgi.fastapi(orchestrator))


def _litestar(orchestrator: Orchestrator) -> Pair:
    app = Litestar([contract_handler(_handler(orchestrator), _owner)])
    return Pair(app, bare_asgi.litestar(orchestrator))


def _aiohttp(orchestrator: Orchestrator) -> Pair:
    app = web.Application()
    add_contract(app, _handler(orchestrator), _owner)
    return Pair(app, bare_asgi.aiohttp(orchestrator))


def _flask(tts: SyncOrchestrator) -> Pair:
    app = Flask(__name__)
    app.register_blueprint(contract_blueprint(tts, _handler, _owner))
    return Pair(app, bare_wsgi.flask(tts))


def _django(tts: SyncOrchestrator) -> Pair:
    app = bare_wsgi.django(tts, contract_urls(tts, _handler, _owner))
    return Pair(app, app, prefix="/bare")


ASGI: Applications = MappingProxyType(
    {
        "asgi": _asgi,
        "asgi in Starlette": _mounted,
        "asgi against FastAPI": _asgi_and_fastapi,
        "starlette": _starlette,
        "fastapi": _fastapi,
        "litestar": _litestar,
    }
)
AIOHTTP: Applications = MappingProxyType({"aiohttp": _aiohttp})
WSGI: SyncApplications = MappingProxyType({"flask": _flask, "django": _django})
