"""What all of these programs share: tokens from the environment, and where to listen."""

import hmac
import os

from ttsorch.config import LOCAL_OWNER, Config

#: The embedded engine, a SQLite file and a folder, unless the environment says otherwise.
config = Config.from_env(os.environ)


def owner_of(authorization: str) -> str | None:
    """Whose bearer token it is (``TTSORCH_TOKENS``); without tokens, everybody is one owner, which
    ``Config`` allows on a loopback address only."""
    if config.tokens is None:
        return LOCAL_OWNER
    # aiohttp hands bytes that are no UTF-8 over as surrogates.
    sent = authorization.removeprefix("Bearer ").encode("utf-8", "surrogateescape")
    # All are compared, each in constant time: how long it takes says nothing about any of them.
    known = [
        owner for token, owner in config.tokens.items() if hmac.compare_digest(token.encode(), sent)
    ]
    return known[0] if known else None
