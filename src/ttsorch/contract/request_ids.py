"""The id that a request is known by in headers, answers and logs (contract C5)."""

import os

_MAX_LENGTH = 128


def request_id(sent: str | None) -> str:
    """What the client sent as ``X-Request-ID``, cut at 128 characters; a new one if it sent none, or one
    that could be anything else than a name in a log or a header."""
    if sent and sent.isascii() and sent.isprintable():
        return sent[:_MAX_LENGTH]
    return os.urandom(16).hex()
