"""The v1 contract as a route handler of Litestar.

::

    from ttsorch.adapters.litestar import contract_handler
    from ttsorch.contract import ContractHandler

    handler = ContractHandler(orchestrator, signing_key=key)
    app = Litestar([contract_handler(handler, authenticate), ...])

    async def authenticate(request: Request):               # or a plain function
        return request.user.id if request.user else None

It answers ``/api`` and all below it, whatever the method; below another path with ``Router("/tts",
route_handlers=[...])``. Litestar gives a mount everything that begins with its path, so a route of the
host's with parameters can't begin with ``/api`` (``/apis/{id}``); one without can.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from litestar import Request, asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send
from litestar.utils import normalize_path

from ttsorch.adapters import asgi as asgi_adapter
from ttsorch.contract import ContractHandler

#: From a request to the id of who is asking; None if that is nobody known.
Authenticate: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[str | None] | str | None]


def contract_handler(handler: ContractHandler, authenticate: Authenticate) -> ASGIRouteHandler:
    """Everything below ``/api``, for a list of route handlers."""

    @asgi("/api", is_mount=True, copy_scope=True)
    async def contract(scope: Scope, receive: Receive, send: Send) -> None:
        path, root = _asked_for(scope)
        await asgi_adapter.answer(
            handler,
            cast(asgi_adapter.Scope, {**scope, "path": path}),
            cast(asgi_adapter.Receive, receive),
            cast(asgi_adapter.Send, send),
            lambda: authenticate(Request(scope, receive, send)),
            root=root,
        )

    return contract


def _asked_for(scope: Scope) -> tuple[str, str]:
    """The path as it was sent, and what of it stands before ``/api``. In ``scope["path"]`` Litestar leaves
    what comes after the mount, without a double slash and always with one at the end."""
    outside = scope.get("root_path", "").rstrip("/")
    raw = scope.get("raw_path")
    if not raw:  # optional in ASGI, though servers have it; the prefix of a router is lost then
        return f"{outside}/api{scope['path'].rstrip('/')}", outside
    path = unquote_to_bytes(raw).decode(errors="replace")
    routed = normalize_path(path.removeprefix(outside))
    mount = routed.removesuffix(scope["path"].rstrip("/"))
    return path, outside + mount.removesuffix("/api")
