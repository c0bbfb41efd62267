"""Reading a body: bounded in bytes and seconds; as JSON, strict about JSON and lenient about what is in it
(contract C6)."""

import json
from collections.abc import Mapping
from contextlib import aclosing

import anyio

from ttsorch.contract.exchange import HttpRequest
from ttsorch.errors import ValidationError

MAX_BODY_BYTES = 1024 * 1024
#: A client that sends more than we take still wants to read why. Its body is read and dropped, up to here:
#: an answer sent while the client is still sending is lost when the connection resets.
_MAX_DROPPED_BYTES = 16 * MAX_BODY_BYTES
#: For all of a body. Whoever sends slower holds a connection and memory for nothing.
_RECEIVE_SECONDS = 30.0
#: Longer numbers than any that means something; reading them exactly takes quadratic time.
_MAX_EXACT_DIGITS = 300


async def read_json_object(request: HttpRequest) -> Mapping[str, object]:
    """The object in the body; for any other truthy value an empty one, since it has no keys.

    Raises:
        ValidationError: 413 for more than 1 MiB, 408 for what takes longer than 30 seconds to arrive,
            400 for what isn't JSON, or is falsy.
        ClientGone: the client left.
    """
    content = await read_body(request, MAX_BODY_BYTES)
    try:
        value: object = json.loads(
            content.decode("utf-8-sig"), parse_int=_number, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise _invalid() from None
    if isinstance(value, dict):
        return value
    # An empty list is truthy where v1 clients come from.
    if not value and not isinstance(value, list):
        raise _invalid()
    return {}


async def read_body(request: HttpRequest, limit: int) -> bytes:
    """All of the body, at most ``limit`` bytes of it.

    Raises:
        ValidationError: 413 for more, 408 for what takes longer than 30 seconds to arrive.
        ClientGone: the client left.
    """
    if _declared_length(request) > _MAX_DROPPED_BYTES:
        raise _too_large()
    content = bytearray()
    size = 0
    with anyio.move_on_after(_RECEIVE_SECONDS) as deadline:
        async with aclosing(request.body) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > _MAX_DROPPED_BYTES:
                    break
                if size <= limit:
                    content += chunk
    if size > limit:
        raise _too_large()
    if deadline.cancelled_caught:
        raise ValidationError(
            "Request body was not received in time.", code="body_timeout", http_status=408
        )
    return bytes(content)


def _declared_length(request: HttpRequest) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() and len(declared) < 20 else 0


def _number(digits: str) -> int | float:
    """No field of the contract is a number, so all that counts is that there is one."""
    return int(digits) if len(digits) <= _MAX_EXACT_DIGITS else float(digits)


def _refuse_constant(name: str) -> object:
    """``NaN`` and ``Infinity`` are Python's, not JSON's (RFC 8259, 6)."""
    raise ValueError(name)


def _too_large() -> ValidationError:
    return ValidationError("Request body is too large.", code="body_too_large", http_status=413)


def _invalid() -> ValidationError:
    return ValidationError("Invalid JSON body", code="invalid_json")
