"""Keeps what our exchanges carry out of the HTTP libraries' own log lines.

httpx writes whole URLs at INFO, signed queries and all; httpcore writes a reply's headers at DEBUG, among
them a signed Location or a cookie. The host's other uses of both libraries log as they always did.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_DISCREET: ContextVar[bool] = ContextVar("ttsorch_discreet", default=False)

# A filter on a logger doesn't apply to its children, so each one that writes is named.
_LOGGERS = (
    "httpx",
    *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
)


class _Discretion(logging.Filter):
    """Lets httpcore's events through by their bare name (``connect_tcp.started``), and nothing of httpx."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _DISCREET.get():
            return True
        record.msg, record.args = str(record.msg).partition(" ")[0], ()
        return record.name != "httpx"


_DISCRETION = _Discretion()


def watch_loggers() -> None:
    """Put the filter in its place; harmless when repeated."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_DISCRETION)


@contextmanager
def discreetly() -> Iterator[None]:
    """For one step in a task that isn't ours, whose other log lines aren't either."""
    token = _DISCREET.set(True)
    try:
        yield
    finally:
        _DISCREET.reset(token)


def be_discreet() -> None:
    """From here on, for the rest of this task and what it starts."""
    _DISCREET.set(True)
