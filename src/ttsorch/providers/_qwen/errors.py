"""What DashScope's errors mean, by its own code first: the status around a code is often the wrong one.

An unpaid bill may come as a 429, a full shelf of voices as a 400 that says "throttling", a timeout as a 500,
and a failure as a 200 with a code in it. Codes from the vendor's pages "error-code" and "error-code-start"
and from the registry of its Python SDK 2.0.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ttsorch._http import JsonObject, Reply
from ttsorch.errors import (
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from ttsorch.providers._verdicts import NOT_LET_IN, Complaint, Verdict, by_status, failure

#: Limits are per account and model and recover "usually within a minute" (the vendor's page "rate-limit").
_BUSY_SECONDS = 10.0

_AUTH = Verdict(ProviderRejected, "provider_auth", NOT_LET_IN)
_NO_API = Verdict(ProviderRejected, "provider_misconfigured")
_BILLING = Verdict(
    ProviderRejected, "provider_billing", "The provider account cannot pay for this request."
)
_CONTENT = Verdict(
    ProviderRejected,
    "provider_content",
    "The provider refused this request because of its content rules.",
)
_VOICES_FULL = Verdict(
    ProviderRejected,
    "provider_voice_quota",
    "The provider account has no room for another voice.",
)
_VOICE_GONE = Verdict(
    ProviderInvalid,
    "provider_voice_missing",
    "The provider does not have this voice. Re-clone or redesign it.",
)
_INVALID = Verdict(ProviderInvalid, quotes=True)
#: Turned away at the door: nothing was started.
_BUSY = Verdict(ProviderUnavailable, "provider_busy", retryable=True, wait=_BUSY_SECONDS)
#: It began, and says itself that it failed. What it billed for that, nobody knows.
_FAILED = Verdict(ProviderUnavailable, retryable=True, started=True)
#: Its gateway stopped waiting; the model behind it may not have.
_TIMEOUT = Verdict(ProviderTimeout, retryable=True, ambiguous=True)


@dataclass(frozen=True, slots=True)
class _Row:
    """One signal. ``code`` ends in ``*`` for all that begin so; ``status`` and ``says`` (a part of the
    message) narrow it down."""

    code: str
    verdict: Verdict
    status: int | None = None
    says: str = ""

    def fits(self, status: int, complaint: Complaint) -> bool:
        code, wanted = (complaint.code or "").casefold(), self.code.casefold()
        same = code.startswith(wanted[:-1]) if wanted.endswith("*") else code == wanted
        said = (complaint.message or "").casefold()
        return same and self.status in (None, status) and self.says in said


#: The first row that fits decides; whole codes come before beginnings of codes.
ROWS: tuple[_Row, ...] = (
    _Row("InvalidApiKey", _AUTH),
    _Row("NOT AUTHORIZED", _AUTH),
    _Row("AccessDenied.Unpurchased", _BILLING),
    _Row("AllocationQuota.FreeTierOnly", _BILLING),
    _Row("Arrearage", _BILLING),
    _Row("CommodityNotPurchased", _BILLING),
    _Row("PrepaidBillOverdue", _BILLING),
    _Row("PostpaidBillOverdue", _BILLING),
    _Row("Throttling.AllocationQuota", _BILLING, says="free allocated quota"),
    _Row("Throttling.AllocationQuota", _VOICES_FULL, status=400),
    _Row("DataInspectionFailed", _CONTENT),
    _Row("InvalidParameter.DataInspection", _CONTENT),
    _Row("IPInfringementSuspect", _CONTENT),
    _Row("CustomRoleBlocked", _CONTENT),
    _Row("BadRequest.VoiceNotFound", _VOICE_GONE),
    _Row("RequestTimeOut", _TIMEOUT),
    _Row("InternalError.Timeout", _TIMEOUT),
    _Row("GatewayTimeout", _TIMEOUT),
    _Row("SystemError", _FAILED),
    _Row("ModelServiceFailed", _FAILED),
    _Row("ModelServingError", _FAILED),
    _Row("ModelUnavailable", _FAILED),
    _Row("ModelNotFound", _INVALID),
    _Row("WorkSpaceNotFound", _INVALID),
    _Row("NotFound", _INVALID),
    _Row("UnsupportedOperation", _INVALID),
    _Row("InvalidParameter*", _INVALID),
    _Row("InvalidURL*", _INVALID),
    _Row("BadRequest*", _INVALID),
    _Row("Audio.*", _INVALID),
    _Row("Throttling*", _BUSY),
    _Row("InternalError*", _FAILED),
    _Row("AccessDenied*", _AUTH),
    _Row("Model.AccessDenied*", _AUTH),
    _Row("Workspace.AccessDenied*", _AUTH),
)


def complaint_in(reply: Reply) -> Complaint:
    """What the reply says of a failure; its code is None when it says none, or isn't readable."""
    header = reply.headers.get("x-request-id")
    try:
        body: JsonObject = reply.json_object()
    except ProviderError:
        return Complaint(request_id=header)
    return Complaint(
        code=_word(body, "code"),
        message=_word(body, "message"),
        request_id=_word(body, "request_id") or header,
    )


def read_failure(
    reply: Reply, secrets: Sequence[str], sent: Sequence[str] = ()
) -> ProviderError | None:
    """The error that a reply stands for; None for a 2xx without a code in it. ``sent`` are the user's words
    that the vendor may quote."""
    complaint = complaint_in(reply)
    if 200 <= reply.status < 300 and complaint.code is None:
        return None
    return failure(_verdict(reply.status, complaint), complaint, reply, secrets=secrets, sent=sent)


def _verdict(status: int, complaint: Complaint) -> Verdict:
    known = next((row.verdict for row in ROWS if row.fits(status, complaint)), None)
    # A 504 is its gateway's, whatever code it carries: that waited no longer, the model may have gone on.
    if known is not None and not (known is _FAILED and status == 504):
        return known
    spoke_itself = complaint.code is not None and status != 504
    if spoke_itself and (200 <= status < 300 or status >= 500):
        return _FAILED
    if status in (404, 405):
        # Not the API that speaks, but whatever is at the address that we were given for it.
        return _NO_API
    return _BUSY if status == 429 else by_status(status)


def _word(body: JsonObject, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None
