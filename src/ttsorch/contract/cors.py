"""Which pages of other origins may read the answers (the Fetch standard's CORS protocol)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ttsorch.errors import ConfigurationError

_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range, X-Request-ID"
)
_RESPONSE_HEADERS = (
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Location, Retry-After,"
    " X-Request-ID"
)
_PREFLIGHT_SECONDS = "600"
#: As browsers send it (RFC 6454, section 6.1): no path, not even a slash, and in small letters.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\sA-Z]+")


@dataclass(frozen=True, slots=True)
class Cors:
    """The ``origins`` that may read, ``("*",)`` for any, none by default.

    Credentials are never allowed: clients authenticate with a header that they set themselves, and cookies
    of a foreign page's visitor must not count.

    Raises:
        ConfigurationError: one of them is nothing that a browser could send.
    """

    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # One string alone would allow every part of itself.
        alone = isinstance(self.origins, str)
        if alone or not all(each == "*" or _ORIGIN.fullmatch(each) for each in self.origins):
            raise ConfigurationError(
                "The origins must be a sequence of origins like https://app.example, without a path, or *.",
                code="origin_invalid",
                field="origins",
            )

    def headers(self, origin: str | None) -> dict[str, str]:
        """What every answer to a request from ``origin`` carries."""
        if "*" in self.origins:
            return {
                "access-control-allow-origin": "*",
                "access-control-expose-headers": _RESPONSE_HEADERS,
            }
        if not self.origins:
            return {}
        if origin is None or origin not in self.origins:
            return {"vary": "Origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _RESPONSE_HEADERS,
            "vary": "Origin",
        }

    def preflight_headers(self, origin: str | None, methods: Sequence[str]) -> dict[str, str]:
        """What the answer to a preflight adds to :meth:`headers`."""
        if "access-control-allow-origin" not in self.headers(origin):
            return {}
        return {
            "access-control-allow-methods": ", ".join(methods),
            "access-control-allow-headers": _REQUEST_HEADERS,
            "access-control-max-age": _PREFLIGHT_SECONDS,
        }


#: For signed media: the signature is the permission, whoever's page plays it.
ANY_ORIGIN = Cors(("*",))
