"""Calling into adapters: bounded, with nothing but our own errors coming out."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ttsorch.errors import ProviderTimeout, ProviderUnavailable, TtsorchError
from ttsorch.models import Envelope, Ticket

logger = logging.getLogger("ttsorch")

T = TypeVar("T")


async def asked(seconds: float, call: Callable[[], Awaitable[T]], *, ambiguous: bool = False) -> T:
    """What ``call`` returns.

    Args:
        ambiguous: a call that was cut off, or broke in an unheard-of way, may have been accepted.

    Raises:
        TtsorchError: what the call raised; ProviderTimeout after ``seconds``; ProviderUnavailable with
            code ``adapter_defect`` for anything else.
    """
    try:
        with anyio.fail_after(max(0.0, seconds)):
            return await call()
    except TtsorchError:
        raise
    except TimeoutError as error:
        raise ProviderTimeout(detail="our own deadline passed", ambiguous=ambiguous) from error
    except Exception as error:
        logger.exception("a defect in an adapter")
        raise ProviderUnavailable(
            code="adapter_defect",
            detail=type(error).__name__,
            retryable=False,
            ambiguous=ambiguous,
        ) from error


def plain(record: Ticket | Envelope) -> Ticket:
    """As it will be read back from the row, so that the two can be compared."""
    as_stored: Ticket = json.loads(json.dumps(record, default=dict))
    return as_stored


def backoff(base: float, tries: int) -> float:
    """Seconds to wait before the next try: ``base``, doubled each time, a minute at most."""
    return min(60.0, base * 2.0 ** min(tries - 1, 16))
