"""What is answered here and not by the contract's handler, in the contract's shape all the same (C2)."""

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ttsorch.contract import MethodNotAllowed, UnexpectedFailure, failure_response, request_id
from ttsorch.errors import NotFound, TtsorchError, ValidationError


def failure(connection: HTTPConnection, error: TtsorchError) -> Response:
    """The answer to a request that ended in ``error``."""
    answer = failure_response(error, request_id(connection.headers.get("x-request-id")))
    if not isinstance(answer.body, bytes):
        raise TypeError("a failure is never streamed")
    return Response(answer.body, answer.status, headers=dict(answer.headers))


async def framework_failure(request: Request, error: Exception) -> Response:
    """For what Starlette refuses by itself: its words for it are no sentences."""
    if not isinstance(error, HTTPException):
        raise error
    return failure(request, _from_framework(error))


async def unexpected_failure(request: Request, error: Exception) -> Response:
    """For a bug; the server logs it with its traceback."""
    return failure(request, UnexpectedFailure())


def _from_framework(error: HTTPException) -> TtsorchError:
    if error.status_code == 404:
        return NotFound("There is nothing at this address.", code="unknown_path")
    if error.status_code == 405:
        return MethodNotAllowed((error.headers or {}).get("Allow", "GET, HEAD").split(", "))
    return ValidationError(
        "This request can't be served.", code="http_error", http_status=error.status_code
    )
