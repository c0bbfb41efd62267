"""Who is asking: the host's part of the contract (C3)."""

import hmac
from collections.abc import Mapping

from starlette.requests import HTTPConnection

from ttsorch.adapters.asgi import Authenticate, Scope
from ttsorch.config import LOCAL_OWNER


def authenticator(tokens: Mapping[str, str] | None) -> Authenticate:
    """By bearer token; without tokens, everybody is one owner (``Config`` allows that on a loopback
    address only)."""
    if tokens is None:
        return lambda scope: LOCAL_OWNER
    known = [(token.encode(), owner) for token, owner in tokens.items()]

    def owner_of(scope: Scope) -> str | None:
        sent_headers = HTTPConnection(scope).headers.getlist("authorization")
        # Of two, somebody before us may have looked at the other one.
        if len(sent_headers) != 1:
            return None
        scheme, _, token = sent_headers[0].partition(" ")
        if scheme.lower() != "bearer":
            return None
        sent = token.strip().encode()
        # All are compared, each in constant time: how long it takes says nothing about any of them.
        matches = [owner for secret, owner in known if hmac.compare_digest(secret, sent)]
        return matches[0] if matches else None

    return owner_of
