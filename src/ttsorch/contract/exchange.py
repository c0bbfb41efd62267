"""What an adapter hands in and gets back: HTTP as plain data."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from ttsorch.errors import InternalError

#: How long a client may take to make room for one chunk of a streamed body. Whoever reads slower than that
#: has stalled, and would keep a blob open for ever.
STALLED_SECONDS = 60.0


class BodyTaken(InternalError):
    """The host has read the body as a form, and it can't be read twice. It isn't the client's fault, which
    is what an empty body would look like."""

    default_code = "body_taken"

    def __init__(self) -> None:
        super().__init__(
            detail="authenticate, or middleware, has read the form in the body before the contract could"
        )


class ClientGone(Exception):
    """Raised by ``HttpRequest.body`` when the client left before its body was complete. Nobody is there
    to be answered, so it passes through the handler to the adapter."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, as any framework can describe it.

    ``path`` is percent-decoded and begins with ``/api``; ``root`` is what stands before that in the URL
    when the application is mounted somewhere. ``query`` is the raw query string. The names in ``headers``
    are lower-case, repeated ones joined by ``", "`` (RFC 9110, 5.3). ``authenticate`` is the host's: it
    returns the owner's id, or None; the handler decides when to ask. ``scheme`` and ``peer`` are those of
    the connection that the request came over: "https" if it was encrypted, and the other end's IP address,
    None where there is none (a Unix socket).
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes, None]
    authenticate: Callable[[], Awaitable[str | None]]
    root: str = ""
    scheme: str = "http"
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer. ``headers`` holds everything to be sent, the length included; a ``body`` that isn't
    ``bytes`` is an async generator, to be closed by who reads it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncGenerator[bytes, None] = b""

    def with_headers(self, headers: Mapping[str, str]) -> "HttpResponse":
        """The same answer with ``headers`` added; they win over those that were there."""
        return HttpResponse(self.status, {**self.headers, **headers}, self.body)
