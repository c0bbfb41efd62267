"""Signed links to stored audio, and to where audio may be put (contract R14 and section 5): they expire,
and each is for one blob and one purpose only."""

import base64
import hashlib
import hmac
import math
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from ttsorch.contract.query import Query
from ttsorch.errors import ConfigurationError, ValidationError

#: In seconds (contract R8).
LINK_LIFETIME = 3600.0

#: Half of what HMAC-SHA256 can use; anything shorter may be guessed.
MIN_SECRET_BYTES = 16

_WRITING = "upload"


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Makes and checks links. Who holds ``secret`` can open every blob."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"The signing key must have at least {MIN_SECRET_BYTES} bytes.",
                code="signing_key_too_short",
            )

    def __repr__(self) -> str:
        return "LinkSigner(secret=…)"

    def path(self, key: str, *, now: datetime, name: str | None = None) -> str:
        """The path and query under which the blob can be read for the next hour; with ``name``, as a
        download of that name."""
        expires = _in_an_hour(now)
        signature = self._signature(key, expires, _reading(name))
        named = "" if name is None else f"&name={quote(name, safe='')}"
        return f"/api/media/{key}?expires={expires}{named}&signature={signature}"

    def upload_path(self, key: str, *, now: datetime) -> str:
        """The path and query under which the blob can be put for the next hour."""
        expires = _in_an_hour(now)
        signature = self._signature(key, expires, _WRITING)
        return f"/api/uploads/{key}?expires={expires}&signature={signature}"

    def check(self, key: str, query: Query, *, now: datetime) -> None:
        """Whether ``query`` is what :meth:`path` gave for ``key``, and not too long ago.

        Raises:
            ValidationError: 403; it isn't, or it was.
        """
        self._check(key, query, _reading(query.get("name")), now)

    def check_upload(self, key: str, query: Query, *, now: datetime) -> None:
        """:meth:`check`, for :meth:`upload_path`."""
        self._check(key, query, _WRITING, now)

    def _check(self, key: str, query: Query, purpose: str, now: datetime) -> None:
        expires = query.get("expires", "")
        expected = self._signature(key, expires, purpose)
        # Compared as bytes: a str with non-ASCII characters would make compare_digest raise.
        if not hmac.compare_digest(expected.encode(), _bytes(query.get("signature", ""))):
            raise ValidationError("This link is not valid.", code="link_invalid", http_status=403)
        if int(expires) <= now.timestamp():
            raise ValidationError("This link has expired.", code="link_expired", http_status=403)

    def _signature(self, key: str, expires: str, purpose: str) -> str:
        # A key and a number hold no line break, so no two links have the same message; and no other
        # message that is signed with this secret begins like it.
        message = _bytes(f"ttsorch media link\n{key}\n{expires}\n{purpose}")
        digest = hmac.digest(self.secret, message, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Some servers put bytes that are not UTF-8 into a path as lone surrogates; that must not be a bug."""
    return text.encode("utf-8", "surrogatepass")


def _reading(name: str | None) -> str:
    return "inline" if name is None else f"download\n{name}"


def _in_an_hour(now: datetime) -> str:
    return str(math.ceil(now.timestamp() + LINK_LIFETIME))
