"""A proxy in front of a fake vendor, which now and then answers in its stead."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.vendors.on_sockets import Call, Vendor
from ttsorch.testing.vendor_server import VendorReply, VendorRequest, serving


@dataclass(frozen=True, slots=True)
class Instead:
    """What the client hears instead of the vendor's answer. ``worked``: the vendor had done its work."""

    reply: VendorReply
    worked: bool = True


@dataclass
class Gateway:
    """``meddling`` is used up in order, one per request; None lets one pass, as does an empty queue."""

    upstream: str
    http: httpx.AsyncClient
    url: str = ""
    meddling: deque[Instead | None] = field(default_factory=deque)

    async def answer(self, request: VendorRequest) -> VendorReply:
        instead = self.meddling.popleft() if self.meddling else None
        if instead is not None and not instead.worked:
            return instead.reply
        reply = await self._forward(request)
        return reply if instead is None else instead.reply

    async def _forward(self, request: VendorRequest) -> VendorReply:
        ours = ("host", "content-length", "connection")
        answer = await self.http.request(
            request.method,
            self.upstream.rstrip("/") + request.path,
            params=dict(request.query),
            headers={name: value for name, value in request.headers.items() if name not in ours},
            content=request.body,
        )
        kept = {
            name: value.replace(self.upstream, self.url)
            for name, value in answer.headers.items()
            if name in ("location", "retry-after", "x-request-id")
        }
        return VendorReply(
            answer.status_code, answer.content, answer.headers.get("content-type", ""), kept
        )


def leading(call: Call, url: str) -> dict[str, str]:
    """The environment that leads the paid call to ``url``."""
    variables = {
        Call.MODAL_GENERATE: "MODAL_JOB_SUBMIT",
        Call.MODAL_DESIGN: "MODAL_ENDPOINT_VOICE_DESIGN",
    }
    return {variables.get(call, "DASHSCOPE_BASE_URL"): url}


@asynccontextmanager
async def a_gateway(vendor: Vendor, *, port: int = 0) -> AsyncIterator[Gateway]:
    """A gateway to the server that takes the paid call."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        gateway = Gateway(vendor.paid.url, http)
        async with serving(gateway.answer, port=port) as server:
            gateway.url = server.url
            yield gateway
            assert server.failures == []
