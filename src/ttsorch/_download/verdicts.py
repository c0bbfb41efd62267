"""Why a download fails: one function per reason, so that the same fault always reads the same.

``detail`` has the rule and at most an origin: the rest of a result's URL is a signature.
"""

from typing import TypeVar

import httpx

from ttsorch._download.network import AddressRefused
from ttsorch._http.origin import origin_of
from ttsorch.errors import CorruptResult, ProviderError, ProviderTimeout, ProviderUnavailable

_Error = TypeVar("_Error", bound=Exception)


def blocked(rule: str) -> ProviderUnavailable:
    """One message for every rule, so that nobody can map our network by reading errors."""
    return ProviderUnavailable(
        "The provider's audio is at an address that this server does not download from.",
        code="result_url_blocked",
        detail=f"the result's URL: {rule}",
        retryable=False,
    )


def too_slow(detail: str) -> ProviderTimeout:
    return ProviderTimeout(
        "The provider's audio took too long to download. Please try again.",
        code="download_too_slow",
        detail=detail,
        ambiguous=False,
    )


def compressed(url: httpx.URL) -> CorruptResult:
    return CorruptResult(
        detail=f"{origin_of(url)} compressed the audio, although we asked for it not to be"
    )


def longer_than_announced(url: httpx.URL) -> CorruptResult:
    return CorruptResult(detail=f"{origin_of(url)} sent more bytes than it announced")


def broken_off(url: httpx.URL, received: int, why_not_resumed: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        detail=f"{origin_of(url)} broke off after {received} bytes; {why_not_resumed}"
    )


def of_exchange(error: Exception, url: httpx.URL) -> ProviderError:
    """Why no response came. A download changes nothing over there, so nothing is ambiguous."""
    address_refused = _caused_by(error, AddressRefused)
    if address_refused is not None:
        return blocked(f"{address_refused} ({origin_of(url)})")
    detail = f"{type(error).__name__} at {origin_of(url)}"
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return ProviderUnavailable(detail=detail, retryable=False)
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        return ProviderUnavailable(detail=detail)
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return too_slow(detail)
    return ProviderUnavailable(detail=detail)


def _caused_by(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error
