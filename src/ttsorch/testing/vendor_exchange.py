"""What a client and a fake vendor say to each other, and what the wire between them may do to it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import anyio

from ttsorch.models import JsonValue


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """A request as the vendor sees it: the path and the query decoded, the first of repeated parameters,
    header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> object:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class VendorReply:
    """What the vendor answers. ``Content-Length`` is added on the way out."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def of_json(
        cls, payload: JsonValue, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> "VendorReply":
        """``payload`` in the compact spelling that Starlette and most vendors use."""
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, body, headers=headers or {})

    @classmethod
    def of_text(cls, text: str, status: int) -> "VendorReply":
        """Plain text, as gateways in front of a vendor answer."""
        return cls(status, text.encode(), "text/plain; charset=utf-8")


Answer = Callable[[VendorRequest], Awaitable[VendorReply]]


@dataclass(frozen=True, slots=True)
class WireFault:
    """What the wire does to one exchange.

    Args:
        path: the exchange it is meant for; None is the next one, whatever it is.
        cut_request_after: hang up once this many bytes of the request were read; the vendor never sees the
            request, even if it is shorter. With a ``path``, the head of the request is always read.
        lose_reply: the vendor handles the request; the connection ends before the first byte of its reply.
        cut_reply_after: the connection ends after this many bytes of the reply, counted from its status line.
        graceful: end the connection by a FIN, as a server that shuts down, instead of an RST.
        stall: the vendor handles the request, then its reply waits for this event.
    """

    path: str | None = None
    cut_request_after: int | None = None
    lose_reply: bool = False
    cut_reply_after: int | None = None
    graceful: bool = False
    stall: anyio.Event | None = None

    @property
    def reply_limit(self) -> int | None:
        """The bytes of the reply that get through; None is all of them."""
        return 0 if self.lose_reply else self.cut_reply_after
