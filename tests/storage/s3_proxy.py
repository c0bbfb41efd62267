"""A proxy in front of S3 whose wire, and whose patience with the server behind it, break on demand."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx

from ttsorch.testing.vendor_server import VendorReply, VendorRequest, VendorServer, serving

_HOP_BY_HOP = ("host", "content-length", "connection", "transfer-encoding", "date", "server")


@dataclass(frozen=True)
class Gateway:
    """Answer one request with ``status``. ``late``: after the server behind has done what was asked."""

    status: int
    method: str = "PUT"
    late: bool = False


@dataclass
class Pause:
    """Keep back one answer, to a request with this method and parameter, until it is ``released``."""

    method: str
    parameter: str | None = None
    reached: anyio.Event = field(default_factory=anyio.Event)
    released: anyio.Event = field(default_factory=anyio.Event)

    def fits(self, request: VendorRequest) -> bool:
        return request.method == self.method and self.parameter in (None, *request.query)


@dataclass
class S3Proxy:
    """``server`` is its socket, where the wire can be broken; ``gateway`` what it answers by itself."""

    server: VendorServer
    gateway: deque[Gateway] = field(default_factory=deque)
    pause: Pause | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def asked(self, method: str) -> list[VendorRequest]:
        """The requests that arrived whole."""
        return [request for request in self.server.requests if request.method == method]


@asynccontextmanager
async def proxy_to(origin: str) -> AsyncIterator[S3Proxy]:
    """Pass everything on to ``origin``."""
    proxies: list[S3Proxy] = []

    async with httpx.AsyncClient(base_url=origin, timeout=30) as client:

        async def answer(request: VendorRequest) -> VendorReply:
            gateway = proxies[0].gateway
            refusal = None
            if gateway and gateway[0].method == request.method:
                refusal = gateway.popleft()
            reply = VendorReply()
            if refusal is None or refusal.late:
                reply = await _passed_on(client, request)
            pause = proxies[0].pause
            if pause is not None and pause.fits(request):
                pause.reached.set()
                await pause.released.wait()
            return reply if refusal is None else VendorReply.of_text("canary-body", refusal.status)

        async with serving(answer) as server:
            proxies.append(S3Proxy(server))
            yield proxies[0]


async def _passed_on(client: httpx.AsyncClient, request: VendorRequest) -> VendorReply:
    headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
    answer = await client.request(
        request.method,
        request.path,
        params=dict(request.query),
        headers=headers,
        content=request.body,
    )
    kept = {name: value for name, value in answer.headers.items() if name not in _HOP_BY_HOP}
    if request.method == "HEAD" and "content-length" in answer.headers:
        kept["content-length"] = answer.headers["content-length"]
    content_type = kept.pop("content-type", "application/octet-stream")
    return VendorReply(answer.status_code, answer.content, content_type, kept)
