"""What stands around the whole application, as ASGI middleware: the loopback guard and the log."""

import ipaddress
import json
import logging
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.reference_server.failures import failure
from ttsorch.errors import ValidationError

logger = logging.getLogger("reference_server.access")

_MAX_LOGGED_METHOD = 20
_MAX_LOGGED_PATH = 200


class LoopbackGuard:
    """For a server without tokens: only pages of its own may use it.

    Being bound to a loopback address keeps other machines out, but not the pages of other sites in this
    machine's browser. Such a page can point a name of its own at 127.0.0.1 and then read everything (DNS
    rebinding): the Host header gives it away. Or it can send requests here without reading the answers
    (CSRF): the Origin header, which browsers add to those, gives it away.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_ours(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        refusal = ValidationError(
            "This server only answers its own page on this machine.",
            code="foreign_origin",
            http_status=403,
        )
        await failure(HTTPConnection(scope), refusal)(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        own = headers.get("host", "")
        origin = headers.get("origin")
        name = _host_name(own)
        if not (_is_loopback(name) or name == self.host):
            return False
        return origin is None or _authority(origin) == own


class AccessLog:
    """One line for each request. Never the query: it may be a signature."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0
        began = time.monotonic()

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watch)
        finally:
            taken = (time.monotonic() - began) * 1000
            # As JSON, so that no path can forge a line or speak to a terminal.
            path = json.dumps(scope["path"][:_MAX_LOGGED_PATH])[1:-1]
            logger.info(
                "%s %s %s %.0f ms %s",
                scope["method"][:_MAX_LOGGED_METHOD],
                path,
                status or "left",
                taken,
                Headers(scope=scope).get("x-request-id"),
            )


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
