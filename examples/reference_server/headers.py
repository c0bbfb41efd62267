"""Headers that every answer has, as ASGI middleware."""

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ttsorch.contract import request_id

#: Of the style sheet that wavesurfer.js, in the version of waveform/package.json and with the height of
#: static/waveform.js, puts around its drawing.
_WAVEFORM_STYLE = "'sha256-9SfrHdOLGeJ9IEr71EpmpCjtP/RYIJ2yGgDBKCLmeEE='"
#: Nothing else inline, and nothing from elsewhere. ``blob:`` is a recording that was made in the page itself.
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_WAVEFORM_STYLE}; img-src 'self';"
    " connect-src 'self'; media-src 'self' blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE_HEADERS = {
    "content-security-policy": _POLICY,
    # The microphone is for cloning a voice. What a browser doesn't know is passed over.
    "permissions-policy": (
        "microphone=(self), camera=(), display-capture=(), geolocation=(), payment=(), usb=()"
    ),
    "cross-origin-opener-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Asked about again with each visit: the page is never older than its server. Its parts bring their own.
    "cache-control": "no-cache",
}


class DefaultHeaders:
    """Adds headers that the answer doesn't have: an answer of the contract brings its own."""

    def __init__(self, app: ASGIApp, defaults: Mapping[str, str]) -> None:
        self.app = app
        self.defaults = defaults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.defaults.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequestId:
    """One id for a request (C5), whoever answers it: everything inside finds it among its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        known = request_id(Headers(scope=scope).get("x-request-id"))
        others = [pair for pair in scope["headers"] if pair[0] != b"x-request-id"]
        inside = {**scope, "headers": [*others, (b"x-request-id", known.encode())]}
        await DefaultHeaders(self.app, {"x-request-id": known})(inside, receive, send)
