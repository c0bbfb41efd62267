"""What a Modal deployment answers, read into our records. Pure: a reply in, a record or an error out."""

import logging
import re
from collections.abc import Sequence

import httpx

from ttsorch._http import JsonObject, Reply, same_origin
from ttsorch.errors import Category, ProviderUnavailable, ResultExpired
from ttsorch.models import (
    Accepted,
    CancelOutcome,
    CheckResult,
    ErrorInfo,
    Failed,
    JsonValue,
    Ready,
    Running,
    SubmitResult,
    Ticket,
)
from ttsorch.providers._audio_in_hand import AudioInHand
from ttsorch.providers._modal import errors
from ttsorch.providers._verdicts import cleaned

logger = logging.getLogger("ttsorch")

#: The keys of our tickets and envelopes.
JOB_ID, DESIGN_URL = "job_id", "design_url"
#: Modal can't tell a design that waits from one that is worked on, so it has no word for either.
DESIGNING = "provider_synthesizing"

_JOB_ID = re.compile(r"[\w.:-]{1,256}", re.ASCII)
_WAV = re.compile(rb"RIFF....WAVE", re.DOTALL)

# The deployed server only says "running", "completed" and "failed"; the others are other servers' words
# for the same.
_COMPLETED = "completed"
_FAILED = "failed"
_CANCELLED = frozenset({"cancelled", "canceled"})
_LONGEST_WORD = 64
_LONGEST_URL = 4096
# A hundred days: more is no duration but a mistake.
_LONGEST_ELAPSED = 8_640_000.0

# 301 and 302 as clients have read them for decades: GET there. A 307 would have the POST sent again.
_LEADS_TO_AN_ANSWER = frozenset({301, 302, 303})
_NO_ANSWER_YET = frozenset({202, 408}) | _LEADS_TO_AN_ANSWER
_ENDPOINTS_LAST_WORD = frozenset({400, 422, 500})


def job_id_of(value: JsonValue) -> str | None:
    """``value``, if it can be a job's id: short, and harmless in a URL or a log."""
    return value if isinstance(value, str) and _JOB_ID.fullmatch(value) else None


def job_id_in(ticket: Ticket) -> str:
    """
    Raises:
        ProviderUnavailable: ``no_such_job``: this is no ticket for a job of this deployment.
    """
    job_id = job_id_of(ticket.get(JOB_ID))
    if job_id is None:
        raise ProviderUnavailable(
            code="no_such_job", detail="the ticket isn't for this deployment", retryable=False
        )
    return job_id


def read_handle(reply: Reply) -> str | None:
    """Where Modal keeps the answer of a call that is taking long: a 303 says so after 150 seconds, or while
    a container starts (https://modal.com/docs/guide/webhook-timeouts, read November 2026).

    None unless it is on the origin that was asked: Modal's always is, and our credentials go nowhere else.
    """
    location = reply.location
    if reply.status not in _LEADS_TO_AN_ANSWER or location is None:
        return None
    if len(location) > _LONGEST_URL or not same_origin(location, reply.url):
        return None
    return location


def call_id_in(handle: str) -> str | None:
    """The id of the call whose answer is kept at ``handle``, for an operator; it opens nothing."""
    return job_id_of(httpx.URL(handle).params.get("__modal_function_call_id"))


def read_submitted(
    reply: Reply,
    secrets: Sequence[str] = (),
    *,
    sent: Sequence[str] = (),
    reread: bool = False,
) -> str:
    """The id of the job that was started. ``sent`` are the user's words; ``reread``: the answer was fetched
    from its handle.

    Raises:
        ProviderError: ambiguous unless the endpoint's own code refused the job, or the platform turned us
            away before it ran.
    """
    if not _is_success(reply):
        failure = errors.judged(reply, errors.SUBMITTING, secrets, sent)
        # To a GET of the handle, any refusal but the endpoint's own is about that GET, in JSON too: the
        # POST has long been taken.
        if reread and not _is_endpoints_last_word(reply):
            failure.ambiguous = True
        raise failure
    job_id = job_id_of(reply.json_object().get("job_id"))
    if job_id is None:
        raise _unreadable(reply, "without a usable job_id")
    return job_id


def read_status(reply: Reply, job_id: str, secrets: Sequence[str] = ()) -> CheckResult:
    """The state of a job.

    Raises:
        ProviderError: this is no answer to that question.
    """
    if not _is_success(reply):
        raise errors.judged(reply, errors.ASKING, secrets)
    answer = reply.json_object()
    if answer.get("job_id") not in (None, job_id):
        logger.warning("security: modal answered about another job than it was asked about")
        raise ProviderUnavailable(code="wrong_job", detail="the answer names another job")
    status = answer.get("status")
    word = cleaned(status, secrets)[:_LONGEST_WORD].lower() if isinstance(status, str) else ""
    if not word:
        raise _unreadable(reply, "without a status")
    if word == _COMPLETED:
        return Ready(envelope={JOB_ID: job_id}, receipt={JOB_ID: job_id})
    if word == _FAILED:
        return _failed(reply, answer, secrets)
    if word in _CANCELLED:
        return Failed(
            ErrorInfo(
                Category.CANCELLED,
                "cancelled_by_provider",
                "The provider cancelled this generation.",
            )
        )
    return Running(word, elapsed=_elapsed(answer.get("elapsed_seconds")))


def read_cancelled(reply: Reply, secrets: Sequence[str] = ()) -> CancelOutcome:
    """What became of a request to cancel. A container that is busy with the job may finish it.

    Raises:
        ProviderError: the endpoint could not be asked.
    """
    if _is_success(reply):
        return CancelOutcome.REQUESTED
    if reply.status == 409:
        return CancelOutcome.TOO_LATE
    if reply.status in (404, 410):
        # Several deployments lack this endpoint; then it is the platform that answers.
        undeployed = reply.body.startswith(b"modal-http:")
        return CancelOutcome.UNSUPPORTED if undeployed else CancelOutcome.NOT_FOUND
    raise errors.judged(reply, errors.ASKING, secrets)


def read_designed(
    reply: Reply, secrets: Sequence[str] = (), sent: Sequence[str] = ()
) -> SubmitResult:
    """The preview of a design, or the handle of one that takes longer. ``sent`` are the user's words.

    Raises:
        ProviderError: ambiguous, or ``started``, unless the design was refused.
    """
    handle = read_handle(reply)
    if handle is not None:
        return Accepted({DESIGN_URL: handle})
    if not _is_success(reply):
        raise errors.judged(reply, errors.DESIGNING, secrets, sent)
    if not _WAV.match(reply.body):
        raise _unreadable(reply, "that are no WAV")
    return Ready(audio=AudioInHand(reply.body, "audio/wav"))


def read_preview(reply: Reply, handle: str, secrets: Sequence[str] = ()) -> CheckResult:
    """The same, re-read from its handle.

    Raises:
        ProviderError: it could not be asked.
    """
    if reply.status in _NO_ANSWER_YET:
        return Running(DESIGNING)
    if _is_success(reply):
        if not _WAV.match(reply.body):
            raise _unreadable(reply, "that are no WAV")
        return Ready(envelope={DESIGN_URL: handle}, audio=AudioInHand(reply.body, "audio/wav"))
    error = errors.judged(reply, errors.REREADING, secrets)
    if _is_endpoints_last_word(reply):
        return Failed(ErrorInfo.of(error))
    # From the platform, it may be about this GET as well as about the call.
    if error.code == "job_lost" or reply.status == 500:
        return Failed(ErrorInfo.of(error), doubtful=True)
    raise error


def _failed(reply: Reply, answer: JsonObject, secrets: Sequence[str]) -> Failed:
    """The endpoint reports any trouble of its own as a failed job, so it has to say so twice; but an
    exception without words is that of an output that is gone."""
    said = answer.get("error")
    if isinstance(said, str) and not said.strip():
        return Failed(ErrorInfo.of(ResultExpired(detail="failed, with an empty error")))
    error = errors.job_failure(reply, said if isinstance(said, str) else "", secrets)
    return Failed(ErrorInfo.of(error), doubtful=True)


def _elapsed(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST_ELAPSED else None


def _is_endpoints_last_word(reply: Reply) -> bool:
    return reply.status in _ENDPOINTS_LAST_WORD and errors.stated_complaint(reply) is not None


def _is_success(reply: Reply) -> bool:
    return 200 <= reply.status < 300


def _unreadable(reply: Reply, what: str) -> ProviderUnavailable:
    """A success that isn't one: of a submit, nobody can tell whether it was accepted (decision 13)."""
    return ProviderUnavailable(
        detail=f"HTTP {reply.status} with {len(reply.body)} bytes {what}", ambiguous=True
    )
