"""What a deployment's answers about a job are read as: its state, its cancel, its result."""

import logging

import httpx
import pytest

from tests.providers.modal_recordings import (
    CANCELLED,
    COMPLETED,
    DESIGN_URL,
    EXPIRED,
    FAILED,
    HANDLE_QUERY,
    JOB_ID,
    KEY,
    RUNNING,
    SECRET,
    STATUS_URL,
    SUBMIT_URL,
    TIMED_OUT,
    Scripted,
    answer,
    provider_over,
    reply,
    speech_wav,
)
from ttsorch.errors import Category, ProviderError, ProviderTimeout, ProviderUnavailable
from ttsorch.models import (
    Attempt,
    CancelOutcome,
    CheckResult,
    Failed,
    JsonValue,
    Ready,
    Running,
)
from ttsorch.providers._modal import replies

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
TICKET = {"job_id": JOB_ID}
SUBMIT_HANDLE = f"{SUBMIT_URL}?{HANDLE_QUERY}"
DESIGN_HANDLE = f"{DESIGN_URL}?{HANDLE_QUERY}"


def _status(**changes: JsonValue) -> CheckResult:
    return replies.read_status(reply(200, {**RUNNING, **changes}, url=STATUS_URL), JOB_ID)


def _without(name: str) -> dict[str, JsonValue]:
    return {key: value for key, value in RUNNING.items() if key != name}


# --- status -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["running", "processing", "submitted", "pending", "queued"])
def test_a_job_is_running_under_its_own_word(word: str) -> None:
    """The deployed server's word and its mock's."""
    assert _status(status=word) == Running(word)


@pytest.mark.parametrize("word", ["Running", "RUNNING", " running "])
def test_words_have_no_case(word: str) -> None:
    """However it is spelled, it is the same word."""
    assert _status(status=word) == Running("running")


def test_completed_has_an_envelope_and_a_receipt() -> None:
    """Both are the job's id: the one to fetch by, the other to keep."""
    ready = replies.read_status(reply(200, COMPLETED), JOB_ID)
    assert ready == Ready(envelope={"job_id": JOB_ID}, receipt={"job_id": JOB_ID})
    assert isinstance(_status(status="COMPLETED"), Ready)


def test_a_word_that_is_unknown_is_running() -> None:
    """It is shown, on one line and short; only a deadline can fail the job."""
    assert _status(status="Warming\x1b[31m up") == Running("warming [31m up")
    long = _status(status="warming up " * 30)
    assert isinstance(long, Running)
    assert len(long.word) == 64


@pytest.mark.parametrize(
    ("said", "elapsed"),
    [(12, 12.0), (0, 0.0), (3.5, 3.5), (-1, None), (True, None), ("7", None), (None, None)],
)
def test_elapsed_seconds_are_read_if_they_are_some(said: JsonValue, elapsed: float | None) -> None:
    """The mock's field; junk in it counts as absent."""
    assert _status(elapsed_seconds=said) == Running("running", elapsed=elapsed)


def test_a_duration_that_no_float_holds_is_none() -> None:
    """A big integer in the JSON is a mistake of the server's, and no crash of ours."""
    assert _status(elapsed_seconds=10**400) == Running("running", elapsed=None)


def test_a_failed_job_is_believed_the_second_time() -> None:
    """The reason is the operator's; a user gets our sentence."""
    failed = replies.read_status(reply(200, FAILED), JOB_ID)
    assert isinstance(failed, Failed)
    assert failed.doubtful
    error = failed.error
    assert (error.category, error.code) == (Category.PROVIDER_UNAVAILABLE, "provider_job_failed")
    assert "CUDA" not in error.message
    assert error.detail == "HTTP 200 : CUDA out of memory. Tried to allocate 2.00 GiB"


@pytest.mark.parametrize(
    "said", [TIMED_OUT["error"], "Function timed out", "FunctionTimeoutError()", "a TIME-OUT"]
)
def test_a_job_that_ran_out_of_time_is_a_timeout(said: JsonValue) -> None:
    """Whatever words the exception has for that."""
    failed = _status(status="failed", error=said)
    assert isinstance(failed, Failed)
    assert failed.doubtful
    assert (failed.error.category, failed.error.code) == (Category.TIMEOUT, "provider_job_timeout")
    assert failed.error.retryable


@pytest.mark.parametrize("said", ["", " \n"])
def test_a_failure_without_words_is_an_expired_result(said: str) -> None:
    """Modal's exception for that has an empty text; asking again changes nothing."""
    failed = replies.read_status(reply(200, {**EXPIRED, "error": said}), JOB_ID)
    assert isinstance(failed, Failed)
    assert not failed.doubtful
    assert failed.error.code == "result_expired"


@pytest.mark.parametrize("said", [None, 7, {"a": 1}, ["x"]])
def test_a_failure_with_an_odd_reason_is_a_failure(said: JsonValue) -> None:
    """Only an empty text means expired."""
    failed = _status(status="failed", error=said)
    assert isinstance(failed, Failed)
    assert (failed.doubtful, failed.error.code) == (True, "provider_job_failed")


@pytest.mark.parametrize("word", ["cancelled", "canceled", "Cancelled"])
def test_a_cancelled_job_is_cancelled(word: str) -> None:
    """The mock's word, in both spellings."""
    failed = replies.read_status(reply(200, {**CANCELLED, "status": word}), JOB_ID)
    assert isinstance(failed, Failed)
    assert (failed.error.category, failed.error.code) == (
        Category.CANCELLED,
        "cancelled_by_provider",
    )
    assert not failed.doubtful


def test_an_answer_about_another_job_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Not even "completed" is believed then, and an operator hears of it, without either id."""
    with (
        caplog.at_level(logging.WARNING, "ttsorch"),
        pytest.raises(ProviderUnavailable) as refused,
    ):
        replies.read_status(reply(200, {**COMPLETED, "job_id": "fc-other"}), JOB_ID)
    assert refused.value.code == "wrong_job"
    assert "another job" in caplog.text
    assert "fc-other" not in f"{caplog.text} {vars(refused.value)}"


def test_an_answer_that_names_no_job_is_about_ours() -> None:
    """It was asked for by id."""
    assert replies.read_status(reply(200, _without("job_id")), JOB_ID) == Running("running")


@pytest.mark.parametrize("status", [None, 7, "", "\x1b", ["running"]])
def test_an_answer_without_a_status_is_no_answer(status: JsonValue) -> None:
    """The task stays as it is."""
    with pytest.raises(ProviderUnavailable):
        _status(status=status)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"status":NaN}', b"[" * 9999])
def test_an_answer_that_is_no_object_is_no_answer(body: bytes) -> None:
    """Garbage with a 200 is not a state."""
    with pytest.raises(ProviderUnavailable):
        replies.read_status(reply(200, body), JOB_ID)


async def test_a_check_is_one_get() -> None:
    """One exchange, with the token, on whatever connection there is."""
    transport = Scripted([answer(200, RUNNING)])
    assert await provider_over(transport).check(TICKET) == Running("running")
    (request,) = transport.asked
    assert (request.method, str(request.url)) == ("GET", f"{STATUS_URL}?job_id={JOB_ID}")
    assert (request.headers["modal-key"], request.headers["modal-secret"]) == (KEY, SECRET)
    assert not request.extensions["fresh_connection"]


@pytest.mark.parametrize("ticket", [{}, {"job_id": 7}, {"job_id": "a/../b"}, {"other": "fc-1"}])
async def test_a_ticket_of_somebody_elses_is_not_asked_about(ticket: dict[str, JsonValue]) -> None:
    """Nothing is sent for a row that holds no id of ours."""
    transport = Scripted([])
    with pytest.raises(ProviderUnavailable) as refused:
        await provider_over(transport).check(ticket)
    assert (refused.value.code, refused.value.retryable) == ("no_such_job", False)
    assert not transport.asked


# --- cancel -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (answer(200, CANCELLED), CancelOutcome.REQUESTED),
        (answer(200, {"cancelled": True}), CancelOutcome.REQUESTED),
        (answer(404, {"error": "Unknown job"}), CancelOutcome.NOT_FOUND),
        (answer(404, b"modal-http: invalid function call"), CancelOutcome.UNSUPPORTED),
        (answer(409, {"error": "finished"}), CancelOutcome.TOO_LATE),
        (answer(410), CancelOutcome.NOT_FOUND),
    ],
)
async def test_a_cancel_is_answered(response: httpx.Response, outcome: CancelOutcome) -> None:
    """Requested at best; a job that isn't there, or an endpoint that isn't, is said so."""
    transport = Scripted([response])
    assert await provider_over(transport).cancel(TICKET) is outcome
    assert [request.method for request in transport.asked] == ["POST"]


@pytest.mark.parametrize("status", [500, 502, 429, 303])
async def test_a_cancel_that_was_not_heard_is_raised(status: int) -> None:
    """So that it is tried again."""
    with pytest.raises(ProviderError) as failed:
        await provider_over(Scripted([answer(status)])).cancel(TICKET)
    assert failed.value.retryable


async def test_without_the_endpoint_nothing_can_be_cancelled() -> None:
    """Nothing is sent."""
    transport = Scripted([])
    provider = provider_over(transport, can_cancel=False)
    assert await provider.cancel(TICKET) is CancelOutcome.UNSUPPORTED
    assert not transport.asked


async def test_a_design_cannot_be_cancelled() -> None:
    """Its ticket names no job."""
    provider = provider_over(Scripted([]))
    assert await provider.cancel({"design_url": DESIGN_HANDLE}) is CancelOutcome.UNSUPPORTED


async def test_a_ticket_without_an_id_is_not_found() -> None:
    """There is nothing to cancel, now or later."""
    assert await provider_over(Scripted([])).cancel({}) is CancelOutcome.NOT_FOUND


# --- fetch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("envelope", "path"),
    [
        ({"job_id": JOB_ID}, f"https://acme--qwen3-tts-job-result.modal.run/?job_id={JOB_ID}"),
        ({"design_url": DESIGN_HANDLE}, DESIGN_HANDLE),
    ],
)
async def test_a_result_is_fetched_with_the_token(
    envelope: dict[str, JsonValue], path: str
) -> None:
    """By id from the result endpoint, or from the handle of a design."""
    transport = Scripted([answer(200, speech_wav(), {"content-type": "audio/wav"})])
    async with provider_over(transport).fetch(envelope) as stream:
        assert b"".join([chunk async for chunk in stream.chunks]) == speech_wav()
    (request,) = transport.asked
    assert (request.method, str(request.url)) == ("GET", path)
    assert (request.headers["modal-key"], request.headers["modal-secret"]) == (KEY, SECRET)


async def test_a_lost_connection_is_no_state() -> None:
    """A check that times out raises, and says nothing about the job."""
    with pytest.raises(ProviderTimeout):
        await provider_over(Scripted([httpx.ReadTimeout("silent")])).check(TICKET)
