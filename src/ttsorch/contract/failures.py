"""From an exception to what the client is told: ``{"detail": "...", ...}`` (contract C2)."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.wire import ErrorResponse
from ttsorch.errors import Category, NotFound, TtsorchError, ValidationError

#: In seconds, for a 429 or 503 whose cause didn't say when to come back.
_DEFAULT_RETRY_AFTER = 5


class MethodNotAllowed(ValidationError):
    """The path is known, the method isn't; RFC 9110, 15.5.6 wants ``allowed`` told."""

    default_code = "method_not_allowed"
    default_message = "Method not allowed."
    http_status = 405

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        self.allowed = tuple(allowed)


class Unauthenticated(ValidationError):
    """Nobody knows who is asking (contract C3)."""

    default_code = "unauthenticated"
    http_status = 401


class UnexpectedFailure(TtsorchError):
    """A bug, ours or a backend's: the log has it, the client gets a request id to quote."""

    category = Category.PROVIDER_UNAVAILABLE
    default_code = "internal_error"
    default_message = "Something went wrong on the server. Please try again."
    http_status = 500


@contextmanager
def missing(detail: str, code: str) -> Iterator[None]:
    """Say ``detail`` when the row isn't there; each route has its own sentence for that."""
    try:
        yield
    except NotFound:
        raise NotFound(detail, code=code) from None


def failure_response(error: TtsorchError, request_id: str) -> HttpResponse:
    """What a client is told about ``error``; never its ``detail``, which is for the operator."""
    body = ErrorResponse(
        detail=error.message, code=error.code, category=error.category, request_id=request_id
    )
    seconds = _retry_after(error)
    if seconds is None:
        return body.response(error.http_status).with_headers(_headers(error))
    body = body.model_copy(update={"retry_after_seconds": seconds})
    return body.response(error.http_status).with_headers({"retry-after": str(seconds)})


def _retry_after(error: TtsorchError) -> int | None:
    if error.retry_after is not None:
        return max(1, math.ceil(error.retry_after))
    return _DEFAULT_RETRY_AFTER if error.http_status in (429, 503) else None


def _headers(error: TtsorchError) -> dict[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"allow": ", ".join(error.allowed)}
    if isinstance(error, Unauthenticated):
        return {"www-authenticate": "Bearer"}
    return {}
