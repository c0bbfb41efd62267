"""How a host puts the contract into its own application; here, beside a page made with Starlette."""

import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from examples.reference_server.failures import framework_failure, unexpected_failure
from examples.reference_server.guards import AccessLog, LoopbackGuard
from examples.reference_server.headers import PAGE_HEADERS, DefaultHeaders, RequestId
from examples.reference_server.identity import authenticator
from examples.reference_server.page import Page
from ttsorch.adapters.asgi import asgi_app
from ttsorch.config import Config
from ttsorch.contract import ContractHandler
from ttsorch.orchestrator import Orchestrator

#: Where `make demo` has npm put the one library that the page uses, if there is npm.
_WAVESURFER = Path(
    sys.prefix, "waveform", "node_modules", "wavesurfer.js", "dist", "wavesurfer.esm.js"
)


def build_app(config: Config, orchestrator: Orchestrator, signing_key: bytes) -> ASGIApp:
    """The contract below ``/api`` and the page at ``/``."""
    handler = ContractHandler(
        orchestrator,
        signing_key=signing_key,
        # The page may load from nowhere else, also when the audio is in a bucket.
        own_links=True,
        trusted_proxies=config.trusted_proxies,
    )
    # The page only: audio is compressed already, and is asked for in ranges.
    page = GZipMiddleware(_page(wants_tokens=config.tokens is not None))
    app = _by_path(asgi_app(handler, authenticator(config.tokens)), page)
    if config.tokens is None:
        app = LoopbackGuard(app, config.host)
    app = ServerErrorMiddleware(app, handler=unexpected_failure)
    return RequestId(AccessLog(DefaultHeaders(app, PAGE_HEADERS)))


def _by_path(contract: ASGIApp, page: ASGIApp) -> ASGIApp:
    # A framework's mount would do, but for its pattern: a line break in a path falls out of it.
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        chosen = contract if path == "/api" or path.startswith("/api/") else page
        await chosen(scope, receive, send)

    return app


def _page(*, wants_tokens: bool) -> Starlette:
    return Starlette(
        routes=Page(_WAVESURFER, wants_tokens=wants_tokens).routes(),
        exception_handlers={HTTPException: framework_failure, Exception: unexpected_failure},
    )
