"""How DashScope answers, and the switches that make the fake answer badly.

Every error body has ``request_id``, ``code`` and ``message``. A business failure may also come as HTTP 200
with a ``code`` that isn't empty (https://help.aliyun.com/en/model-studio/error-code, 2026).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from ttsorch.models import JsonValue
from ttsorch.testing.vendor_ledger import VendorLedger
from ttsorch.testing.vendor_server import VendorReply, VendorRequest

T = TypeVar("T")

#: HTTP status, code, message, and headers if there are any.
Failure = tuple[int, str, str] | tuple[int, str, str, Mapping[str, str]]


class Throttle(StrEnum):
    """The three kinds of "too much", which a client has to tell apart.

    Two are HTTP 429: ``RATE`` passes within a minute; ``FREE_QUOTA`` is about money and lasts. A full voice
    storage is HTTP 400 with the code that a passing 429 may have too.
    """

    RATE = "rate"
    FREE_QUOTA = "free quota"
    VOICE_STORAGE = "voice storage"


_THROTTLED: Mapping[Throttle, tuple[int, str, str]] = {
    Throttle.RATE: (429, "Throttling.RateQuota", "Requests rate limit exceeded, please try later."),
    Throttle.FREE_QUOTA: (
        429,
        "Throttling.AllocationQuota",
        "Free allocated quota exceeded. Please activate billing for this model.",
    ),
    Throttle.VOICE_STORAGE: (
        400,
        "Throttling.AllocationQuota",
        "The number of voices of this account has reached its limit.",
    ),
}


@dataclass
class DashScopeLedger(VendorLedger):
    """The bill, and ``authorized_downloads``: ids of results that were asked for with an ``Authorization``
    header. A client that sends one leaks its key to whoever serves the file."""

    authorized_downloads: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Switches:
    """What goes wrong. A queue has one entry per call, used in order, and a number counts calls; the rest
    stays as it is set. Unless it says otherwise, a failure from here means that no work was done.
    """

    #: The next syntheses or customizations (any action) fail like this. None lets one call pass.
    fail_next: deque[Failure | None] = field(default_factory=deque)
    #: The next syntheses or customizations are throttled; ``VOICE_STORAGE`` waits for one that makes a voice.
    throttle: deque[Throttle] = field(default_factory=deque)
    #: The next syntheses, or customizations that make a voice, are done and billed; then this is the answer.
    fail_after_work: deque[Failure] = field(default_factory=deque)
    #: Code and message of failures that come as HTTP 200.
    ok_with_code: deque[tuple[str, str]] = field(default_factory=deque)
    #: So many syntheses are done and billed, and answered without ``output.audio.url``.
    no_url: int = 0
    #: So many syntheses are done and billed, with a URL that expired a second ago.
    expired: int = 0
    #: Whether result URLs say ``http://``, as the vendor's may. The fake itself speaks no TLS.
    http_scheme: bool = True
    #: ``host:port`` of result URLs instead of the fake's own.
    results_host: str | None = None
    #: Whether successes carry the empty ``code`` and ``message`` that the vendor's samples show.
    doc_style: bool = False
    #: The next downloads are answered with these statuses.
    result_status_once: deque[int] = field(default_factory=deque)
    #: Whether each download shows another ETag for the same bytes.
    etag_changes: bool = False
    #: The next downloads end after so many bytes.
    result_truncate: deque[int] = field(default_factory=deque)
    #: How often a new CosyVoice voice is reported as ``DEPLOYING`` before it is ``OK``.
    deploying_answers: int = 1
    #: Whether the vendor's review turns down new CosyVoice voices: ``UNDEPLOYED`` instead of ``OK``.
    undeployed: bool = False


class Refused(Exception):
    """The fake's way out of a call that it answers with an error."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid(message: str) -> Refused:
    """HTTP 400 ``InvalidParameter``, DashScope's answer to most mistakes of a caller."""
    return Refused(400, "InvalidParameter", message)


def throttled(how: Throttle) -> Refused:
    """The answer to one call too many of this kind."""
    return Refused(*_THROTTLED[how])


def raise_what_is_due(switches: Switches, *, makes_voice: bool) -> None:
    """Use up the switches that fail a call before any work is done."""
    if switches.fail_next and (failure := switches.fail_next.popleft()):
        raise Refused(*failure)
    if switches.throttle and (makes_voice or switches.throttle[0] is not Throttle.VOICE_STORAGE):
        raise throttled(switches.throttle.popleft())
    if switches.ok_with_code:
        raise Refused(200, *switches.ok_with_code.popleft())


def new_request_id() -> str:
    """What DashScope gives every answer, in the header ``x-request-id`` and in the body."""
    return str(uuid4())


def succeeded(output: JsonValue, usage: JsonValue, switches: Switches) -> VendorReply:
    """HTTP 200 with ``output`` (left out if None) and ``usage``."""
    request_id = new_request_id()
    payload: dict[str, JsonValue] = {}
    if switches.doc_style:
        payload |= {"status_code": 200, "code": "", "message": ""}
    if output is not None:
        payload["output"] = output
    payload |= {"usage": usage, "request_id": request_id}
    return VendorReply.of_json(payload, headers={"x-request-id": request_id})


def refused(refusal: Refused) -> VendorReply:
    """The answer to a call that failed."""
    request_id = new_request_id()
    payload = {"request_id": request_id, "code": refusal.code, "message": refusal.message}
    headers = {**refusal.headers, "x-request-id": request_id}
    return VendorReply.of_json(payload, status=refusal.status, headers=headers)


def body_of(request: VendorRequest) -> Mapping[str, object]:
    """The JSON object of a request. Raises :class:`Refused` when there is none."""
    try:
        body = request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object.")
    return body


def section(
    body: Mapping[str, object], name: str, *, required: bool = True
) -> Mapping[str, object]:
    """The object ``name`` of a body; empty if it may be missing and is."""
    value = body.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object.")
    return value


def text_of(section: Mapping[str, object], name: str, *, most: int | None = None) -> str:
    """A text that must be there, with at most ``most`` characters (code points)."""
    value = section.get(name)
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"{name} must be a text that is not empty.")
    if most is not None and len(value) > most:
        raise invalid(f"Range of {name} length should be [1, {most}].")
    return value


def choice_of(section: Mapping[str, object], name: str, choices: frozenset[T]) -> T | None:
    """A value that is one of ``choices``, or None if there is none."""
    value = section.get(name)
    for choice in choices:
        if value == choice:
            return choice
    if value is not None:
        raise invalid(f"{name} is not one of the supported values.")
    return None
