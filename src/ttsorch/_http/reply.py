"""What a server answered, and what may be concluded from it. Pure: no network, no waiting."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeAlias, cast

import httpx

from ttsorch._http.origin import UnsafeUrl, origin_of, resolve
from ttsorch.errors import ProviderUnavailable
from ttsorch.models import JsonValue

JsonObject: TypeAlias = dict[str, JsonValue]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: No vendor nests deeper; what reads, stores or prints a reply later may recurse.
MAX_JSON_DEPTH = 64
MAX_JSON_PARTS = 50_000
#: In seconds. A server that asks for more is down for good, as far as one task is concerned.
MAX_RETRY_AFTER = 86_400.0

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{0,9})?")


class SubmitOutcome(StrEnum):
    """What a status code that isn't a usable 2xx says about a submit (design, decision 2)."""

    REJECTED = "rejected"
    NOT_STARTED = "not_started"
    UNKNOWN = "unknown"


def classify_submit_status(status: int) -> SubmitOutcome:
    """Whether a submit that got this status can have started a job.

    A 4xx refuses, a 429 turns away before anything starts. 408, 409 and 425 speak of this request's
    earlier or half-read self, and a 5xx may come from a proxy in front of a server that works on: those
    are unknown, as is a 2xx or a 3xx that leads nowhere.
    """
    if status == 429:
        return SubmitOutcome.NOT_STARTED
    if 400 <= status < 500 and status not in (408, 409, 425):
        return SubmitOutcome.REJECTED
    return SubmitOutcome.UNKNOWN


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are lower-case; a repeated header is joined with commas.

    ``url`` is what was asked, query and all: it is kept out of the repr, like everything that may hold a
    secret, and has no business in an error.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)

    @property
    def location(self) -> str | None:
        """Where a redirect leads, as an absolute URL that may be requested; None for any other status,
        and for a Location that :func:`~ttsorch._http.origin.parse_url` refuses."""
        if self.status not in REDIRECTS:
            return None
        try:
            return str(resolve(self.url, self.headers.get("location", "")))
        except UnsafeUrl:
            return None

    def json(self) -> JsonValue:
        """The body, as JSON (RFC 8259): UTF-8, no NaN, no infinity, at most 64 levels deep, and not of an
        absurd number of parts.

        Raises:
            ProviderUnavailable: it is anything else. Ambiguous, unless the status alone proves that a
                submit was turned away (decision 13).
        """
        try:
            if self.headers.get("content-encoding", "identity").lower() != "identity":
                raise ValueError("compressed, although we asked for it not to be")
            _limit_parts(self.body)
            value = json.loads(
                self.body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite
            )
            _limit_depth(value)
        except (ValueError, RecursionError):
            failure = self._unreadable("not JSON")
        else:
            return cast("JsonValue", value)
        raise failure

    def json_object(self) -> JsonObject:
        """:meth:`json`, and refuse everything but an object in the same way."""
        value = self.json()
        if not isinstance(value, dict):
            raise self._unreadable("not a JSON object")
        return value

    def _unreadable(self, what: str) -> ProviderUnavailable:
        digest = hashlib.sha256(self.body).hexdigest()[:16]
        return ProviderUnavailable(
            detail=f"{origin_of(httpx.URL(self.url))} answered {self.status} with {len(self.body)} bytes"
            f" (sha256 {digest}): {what}",
            ambiguous=classify_submit_status(self.status) is SubmitOutcome.UNKNOWN,
        )


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError("a number too large for a float")
    return value


def _limit_parts(body: bytes) -> None:
    """Parsing a megabyte of brackets holds up the event loop for a third of a second; counting them does
    not. No vendor says so much that isn't one long string of base64."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_JSON_PARTS:
        raise ValueError("too many parts")


def _limit_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


@dataclass(frozen=True, slots=True)
class RetryHint:
    """When, and whether, the server wants to be asked again. ``after`` is in seconds."""

    after: float | None = None
    should_retry: bool | None = None


def retry_hint(headers: Mapping[str, str], now: datetime | None = None) -> RetryHint:
    """What ``retry-after-ms``, else ``retry-after`` (RFC 9110, 10.2.3), and ``x-should-retry`` say.

    Junk counts as absent, the past as now, and nothing is longer than a day. ``now`` is timezone-aware.
    """
    after = _seconds(headers.get("retry-after-ms", ""), unit=0.001)
    if after is None:
        after = _seconds(headers.get("retry-after", ""), unit=1.0)
    if after is None:
        after = _until(headers.get("retry-after", ""), now or datetime.now(UTC))
    if after is not None:
        after = min(max(after, 0.0), MAX_RETRY_AFTER)
    verdict = headers.get("x-should-retry", "").strip().lower()
    return RetryHint(after, {"true": True, "false": False}.get(verdict))


def _seconds(value: str, unit: float) -> float | None:
    value = value.strip()
    return float(value) * unit if _NUMBER.fullmatch(value) else None


def _until(value: str, now: datetime) -> float | None:
    # No HTTP-date is longer; the parser behind it is written for e-mail and tries hard.
    if not 0 < len(value) <= 64:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
