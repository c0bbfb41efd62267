"""HTTP as adapters speak it: one bounded exchange at a time, built and read by pure functions.

:class:`HttpClient` makes the exchange; ``request`` builds what is sent, ``reply`` reads what came back and
``origin`` compares whence and whither. Below them, ``transport`` spreads exchanges over connections, each of
which is a ``line``.
"""

from ttsorch._http.client import HttpClient, Timeouts
from ttsorch._http.origin import require_https, same_origin
from ttsorch._http.reply import (
    JsonObject,
    Reply,
    RetryHint,
    SubmitOutcome,
    classify_submit_status,
    retry_hint,
)
from ttsorch._http.request import get_request, post_request, redirected

__all__ = [
    "HttpClient",
    "JsonObject",
    "Reply",
    "RetryHint",
    "SubmitOutcome",
    "Timeouts",
    "classify_submit_status",
    "get_request",
    "post_request",
    "redirected",
    "require_https",
    "retry_hint",
    "same_origin",
]
