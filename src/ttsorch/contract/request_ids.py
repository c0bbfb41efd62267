"""The id that a request is known by in headers, answers and logs (contract C5)."""

import uuid

_MAX_LENGTH = 128


def request_id(sent: str | None) -> str:
    """What the client sent as ``X-Request-ID``, cut at 128 characters; a new one if it sent none, or one
    that could be anything else than a name in a log or a header."""
    known = sent if sent and sent.isascii() and sent.isprintable() else ""
    # A header can't end with a space (RFC 9110, 5.5), and the cut may be right behind one.
    return known[:_MAX_LENGTH].strip() or uuid.uuid4().hex
