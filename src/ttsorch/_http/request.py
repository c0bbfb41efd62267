"""Requests that are safe to send, checked before anything leaves. Pure: no network, no waiting."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from urllib.parse import urlencode

import httpx

from ttsorch._http.origin import UnsafeUrl, check_url, parse_url
from ttsorch._http.reply import Reply
from ttsorch.errors import ProviderUnavailable
from ttsorch.models import JsonValue

# RFC 9110: a token (5.6.2), and a field value (5.5) in visible ASCII.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([!-~]([\t -~]*[!-~])?)?")

_ABOUT_THE_BODY = ("content-", "transfer-encoding", "trailer", "expect")


def get_request(
    url: str, *, headers: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
) -> httpx.Request:
    """A GET. ``params`` are added to whatever query the URL already has.

    Raises:
        ProviderUnavailable: the URL or a header can't be sent; not ambiguous, not retryable.
    """
    target = _parsed(_extended(url, params) if params else url)
    return httpx.Request("GET", target, headers=_checked(headers or {}))


def post_request(
    url: str, payload: JsonValue, *, headers: Mapping[str, str] | None = None
) -> httpx.Request:
    """A POST of ``payload`` as JSON.

    Raises:
        ProviderUnavailable: the URL, a header or the payload can't be sent; not ambiguous, not retryable.
    """
    try:
        body = json.dumps(
            payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=dict
        ).encode()
    except (TypeError, ValueError, RecursionError):
        failure = unsendable("the payload can't be written as JSON")
    else:
        checked = {"content-type": "application/json", **_checked(headers or {})}
        return httpx.Request("POST", _parsed(url), headers=checked, content=body)
    raise failure


def redirected(request: httpx.Request, reply: Reply) -> httpx.Request:
    """The GET that a redirect asks for, without the body; to another origin, without our headers but
    ``Accept``. It is sent once: whoever follows a chain counts the hops.

    Raises:
        ProviderUnavailable: it leads nowhere, from https to http, or wants a POST sent again (307, 308);
            ambiguous unless the request was a GET.
    """
    asked_to_repeat = reply.status in (307, 308) and request.method != "GET"
    target = reply.location
    if target is None or asked_to_repeat or _downgrades(request, target):
        raise ProviderUnavailable(
            detail=f"a {reply.status} that can't be followed", ambiguous=request.method != "GET"
        )
    url = parse_url(target)
    return httpx.Request("GET", url, headers=_headers_for(url, request))


def check_sendable(request: httpx.Request) -> None:
    """
    Raises:
        ProviderUnavailable: the URL or a header can't be sent; not ambiguous, not retryable.
    """
    try:
        check_url(request.url)
    except UnsafeUrl as rule:
        raise unsendable(f"the URL {rule}") from None
    # Latin-1 reads any byte, so that the pattern is what refuses.
    raw = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
    for name, value in raw:
        _check_header(name, value)


class Payload(httpx.AsyncByteStream):
    """A body in memory, handed out in pieces, so that a write timeout measures progress and not size.

    An iterator and not a generator: when sending stops half-way, nothing is left for the garbage collector
    to finish (trio objects to that).
    """

    _PIECE = 256 * 1024

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._sent = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Payload(self._body)

    async def __anext__(self) -> bytes:
        piece = self._body[self._sent : self._sent + self._PIECE]
        if not piece:
            raise StopAsyncIteration
        self._sent += len(piece)
        return piece


def unsendable(detail: str) -> ProviderUnavailable:
    """The error of a request that certainly never left, and never will."""
    return ProviderUnavailable(detail=detail, retryable=False)


def _extended(url: str, params: Mapping[str, str]) -> str:
    """Before it is parsed, so that what is parsed is all there is of it."""
    base, _, query = url.partition("#")[0].partition("?")
    return f"{base}?{'&'.join(part for part in (query, urlencode(params)) if part)}"


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Kept for a while: the same job is asked about over and over, and parsing is dear."""
    try:
        return parse_url(url)
    except UnsafeUrl as rule:
        raise unsendable(f"the URL {rule}") from None


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        _check_header(name, value)
    return {name.lower(): value for name, value in headers.items()}


def _check_header(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise unsendable("a header has an invalid name")
    if not _VALUE.fullmatch(value):
        raise unsendable(f"the header {name.lower()} has an invalid value")


def _downgrades(request: httpx.Request, target: str) -> bool:
    return request.url.scheme == "https" and not target.startswith("https:")


def _headers_for(target: httpx.URL, request: httpx.Request) -> dict[str, str]:
    here = (request.url.scheme, request.url.host, request.url.port)
    same = (target.scheme, target.host, target.port) == here
    return {
        name: value
        for name, value in request.headers.items()
        if name == "accept" or (same and name != "host" and not name.startswith(_ABOUT_THE_BODY))
    }
