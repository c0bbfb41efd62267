"""What an answer of Modal's means when it isn't what was asked for, as tables.

Two speak here. The platform speaks plain text that begins with ``modal-http:`` (only its 401 is documented,
https://modal.com/docs/guide/webhook-proxy-auth, and means what a 401 means; the others were seen by other
clients). The endpoint's own
code speaks JSON: FastAPI's ``detail``, a string or a list, or ``error``. The first row that fits decides, and
what no row knows, the status does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ttsorch._http import Reply
from ttsorch.errors import (
    NotReady,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
)
from ttsorch.models import JsonValue
from ttsorch.providers._verdicts import Complaint, Verdict, by_status, failure

# A body longer than this is no complaint, and isn't worth parsing to find out.
_LONGEST_COMPLAINT = 64 * 1024
_MOST_COMPLAINTS = 3

_JOB_FAILED = "The provider failed to generate this audio. Please try again."
_JOB_TIMED_OUT = "The provider ran out of time on this audio. Please try again."


@dataclass(frozen=True, slots=True)
class Row:
    """``says`` is matched from the beginning of what the answer says."""

    status: int
    says: str
    verdict: Verdict

    def fits(self, status: int, said: str) -> bool:
        return status == self.status and re.match(self.says, said) is not None


_FUNCTION_TIMED_OUT = r"modal-http: internal error: function execution timed out"
_NO_SUCH_CALL = r"modal-http: invalid function call"
_UNKNOWN_JOB = r"Unknown job"

_PLATFORM = (
    Row(404, _NO_SUCH_CALL, Verdict(ProviderRejected, "provider_misconfigured")),
    Row(404, r"modal-http: workspace", Verdict(ProviderRejected, "provider_misconfigured")),
    # FastAPI's own words for a path or a method that this app doesn't have: the URL is another endpoint's.
    Row(404, r"Not Found$", Verdict(ProviderRejected, "provider_misconfigured")),
    Row(405, r"Method Not Allowed$", Verdict(ProviderRejected, "provider_misconfigured")),
    # It says this to a POST at the address of an answer, where one of ours has no business.
    Row(
        400,
        r"modal-http: bad redirect method",
        Verdict(ProviderUnavailable, "provider_misconfigured", retryable=False, ambiguous=True),
    ),
)

#: The endpoint only hands the job on: that it ran out of time doesn't say whether it had done so.
SUBMITTING = (
    Row(500, _FUNCTION_TIMED_OUT, Verdict(ProviderTimeout, ambiguous=True)),
    *_PLATFORM,
)

#: The endpoint does the work itself: that it failed says that it had begun.
DESIGNING = (
    Row(
        500,
        _FUNCTION_TIMED_OUT,
        Verdict(ProviderTimeout, "provider_job_timeout", _JOB_TIMED_OUT, started=True),
    ),
    Row(
        500,
        r"Voice design failed",
        Verdict(ProviderUnavailable, "provider_job_failed", _JOB_FAILED, started=True),
    ),
    *_PLATFORM,
)

#: Re-reading the answer of a design call: the address is stale, or the call's output has expired.
REREADING = (
    Row(404, _NO_SUCH_CALL, Verdict(ProviderRejected, "job_lost")),
    *DESIGNING,
)

#: Status and cancel.
ASKING = (
    Row(404, _UNKNOWN_JOB, Verdict(ProviderUnavailable, "job_lost")),
    *_PLATFORM,
)

#: The result endpoint has no 404 and no 410: a job that failed, was cancelled, is unknown or has expired is
#: a 500, and an expired one has nothing to say about it. (Its 202 is the downloader's to read.)
FETCHING = (
    Row(408, r"", Verdict(NotReady)),
    Row(500, r"Failed to get result:\s*$", Verdict(ResultExpired)),
    Row(500, r"", Verdict(ProviderUnavailable, "result_unavailable")),
    Row(404, _UNKNOWN_JOB, Verdict(ResultExpired)),
    *_PLATFORM,
)

FETCHING_DESIGN = (
    Row(404, _NO_SUCH_CALL, Verdict(ResultExpired)),
    *FETCHING,
)

#: What the ``error`` of a failed job says, searched for anywhere; 200 is the status that it comes with.
JOB_FAILURES = (
    Row(
        200,
        r"(?is).*time[ds]?[ _-]?out",
        Verdict(ProviderTimeout, "provider_job_timeout", _JOB_TIMED_OUT),
    ),
    Row(200, r"", Verdict(ProviderUnavailable, "provider_job_failed", _JOB_FAILED)),
)


def judged(
    reply: Reply, rows: Sequence[Row], secrets: Sequence[str] = (), sent: Sequence[str] = ()
) -> ProviderError:
    """The error that ``reply`` is, by the first of ``rows`` that fits. Only what the endpoint's own code says
    is ever quoted to users. ``sent`` are the user's words that it may quote itself."""
    stated = stated_complaint(reply)
    said = stated if stated is not None else _plain_text(reply)
    verdict = _verdict(reply.status, said, rows)
    return failure(
        verdict if stated is not None else replace(verdict, quotes=False),
        Complaint(message=said),
        reply,
        secrets=secrets,
        sent=sent,
    )


def job_failure(reply: Reply, said: str, secrets: Sequence[str] = ()) -> ProviderError:
    """The error of a job that is reported as failed, with ``said`` as the reason."""
    verdict = _verdict(reply.status, said, JOB_FAILURES)
    return failure(verdict, Complaint(message=said), reply, secrets=secrets)


def stated_complaint(reply: Reply) -> str | None:
    """What the endpoint's own code says is wrong; None if it isn't the endpoint's code that speaks."""
    if len(reply.body) > _LONGEST_COMPLAINT:
        return None
    try:
        answer = reply.json_object()
    except ProviderUnavailable:
        return None
    detail = answer.get("detail", answer.get("error"))
    if isinstance(detail, list):
        return "; ".join(_invalid_field(entry) for entry in detail[:_MOST_COMPLAINTS])
    return detail if isinstance(detail, str) else None


def _verdict(status: int, said: str, rows: Sequence[Row]) -> Verdict:
    fitting = (row.verdict for row in rows if row.fits(status, said))
    return next(fitting, by_status(status))


def _invalid_field(entry: JsonValue) -> str:
    """One entry of FastAPI's list, without its ``input``: that is the user's text, or the whole clip."""
    if not isinstance(entry, dict):
        return "invalid"
    location, message = entry.get("loc"), entry.get("msg")
    path = location if isinstance(location, list) else []
    field = ".".join(str(step) for step in path if isinstance(step, str | int))
    return f"{field}: {message if isinstance(message, str) else 'invalid'}"


def _plain_text(reply: Reply) -> str:
    return reply.body[:2000].decode("utf-8", "replace").strip()
