"""How a host puts the contract into its own application; here, a Starlette one."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from examples.reference_server.guards import (
    PAGE_HEADERS,
    AccessLog,
    DefaultHeaders,
    LoopbackGuard,
)
from examples.reference_server.identity import authenticator
from ttsorch.adapters.asgi import asgi_app
from ttsorch.config import Config
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator

_STATIC = Path(__file__).parent / "static"


def build_app(config: Config, orchestrator: Orchestrator, signing_key: bytes) -> Starlette:
    """The contract at ``/api`` and the page at ``/``."""
    handler = ContractHandler(orchestrator, signing_key=signing_key)
    contract = asgi_app(handler, authenticator(config.tokens))
    middleware = [Middleware(AccessLog), Middleware(DefaultHeaders, PAGE_HEADERS)]
    if config.tokens is None:
        middleware.append(Middleware(LoopbackGuard, config.host))
    return Starlette(
        routes=[
            Mount("/api", contract),
            # Where the contract's redirect_url leads (R10).
            Route("/generate", _page),
            Mount("/", StaticFiles(directory=_STATIC, html=True)),
        ],
        middleware=middleware,
        exception_handlers={HTTPException: _plain_error},
    )


async def _page(request: Request) -> Response:
    return FileResponse(_STATIC / "index.html")


async def _plain_error(request: Request, error: Exception) -> Response:
    """What the framework answers by itself, in the contract's shape (C2)."""
    if not isinstance(error, HTTPException):
        raise error
    body = {"detail": error.detail, "code": "http_error", "category": "validation"}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)
