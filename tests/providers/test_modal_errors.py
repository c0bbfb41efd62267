"""Each row of the error tables, on recorded answers, through the call that meets it."""

from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest

from tests.providers.modal_recordings import (
    BAD_METHOD,
    DESIGN_URL,
    FIELD_MISSING,
    FUNCTION_KILLED,
    FUNCTION_TIMED_OUT,
    HANDLE_QUERY,
    INTERNAL_SERVER_ERROR,
    JOB_ID,
    KEY,
    NO_CREDENTIALS,
    NO_SUCH_CALL,
    SECRET,
    STILL_PROCESSING,
    SUBMIT_URL,
    TEXT,
    WORKSPACE_DISABLED,
    Scripted,
    answer,
    draft,
    modal_request,
    provider_over,
    see_other,
)
from ttsorch.errors import (
    Category,
    NotReady,
    ProviderError,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
)
from ttsorch.models import Attempt, Failed, JsonValue
from ttsorch.providers.modal import ModalProvider

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
TICKET = {"job_id": JOB_ID}
DESIGN_TICKET = {"design_url": f"{DESIGN_URL}?{HANDLE_QUERY}"}

Call = Callable[[ModalProvider], Awaitable[object]]
Body = bytes | Mapping[str, JsonValue]


async def _submit(provider: ModalProvider) -> object:
    return await provider.submit(modal_request(), ATTEMPT)


async def _design(provider: ModalProvider) -> object:
    return await provider.design(draft(), ATTEMPT)


async def _check(provider: ModalProvider) -> object:
    return await provider.check(TICKET)


async def _check_design(provider: ModalProvider) -> object:
    return await provider.check(DESIGN_TICKET)


async def _fetch(provider: ModalProvider) -> object:
    async with provider.fetch(TICKET) as stream:
        return stream


async def _fetch_design(provider: ModalProvider) -> object:
    async with provider.fetch(DESIGN_TICKET) as stream:
        return stream


async def _cancel(provider: ModalProvider) -> object:
    return await provider.cancel(TICKET)


async def _raised(call: Call, *responses: httpx.Response) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await call(provider_over(Scripted(responses)))
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None
    return failed.value


# --- the paid calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [_submit, _design])
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, NO_CREDENTIALS, ProviderRejected, "provider_auth"),
        (404, NO_SUCH_CALL, ProviderRejected, "provider_misconfigured"),
        (404, WORKSPACE_DISABLED, ProviderRejected, "provider_misconfigured"),
        (404, {"detail": "Not Found"}, ProviderRejected, "provider_misconfigured"),
        (405, {"detail": "Method Not Allowed"}, ProviderRejected, "provider_misconfigured"),
        (400, {"detail": "'text' is required"}, ProviderInvalid, "provider_invalid_request"),
        (422, FIELD_MISSING, ProviderInvalid, "provider_invalid_request"),
        (413, b"too large", ProviderInvalid, "provider_invalid_request"),
        (403, b"forbidden", ProviderRejected, "provider_auth"),
        (429, b"slow down", ProviderUnavailable, "provider_busy"),
    ],
)
async def test_a_refusal_started_nothing(
    call: Call, status: int, body: Body, kind: type[ProviderError], code: str
) -> None:
    """Neither ambiguous nor started; only a throttle is worth another try."""
    error = await _raised(call, answer(status, body))
    assert (type(error), error.code) == (kind, code)
    assert (error.ambiguous, error.started) == (False, False)
    assert error.retryable is (status == 429)


@pytest.mark.parametrize("call", [_submit, _design])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, INTERNAL_SERVER_ERROR),
        (500, FUNCTION_KILLED),
        (500, {"detail": "boom"}),
        (502, b"<html>Bad Gateway</html>"),
        (503, b""),
        (504, b""),
        (408, b""),
        (409, b""),
        (425, b""),
        (400, BAD_METHOD),
        (304, b""),
    ],
)
async def test_anything_else_is_an_unknown_outcome(call: Call, status: int, body: Body) -> None:
    """The work may have begun, so that it is never sent again by itself."""
    error = await _raised(call, answer(status, body))
    assert error.ambiguous
    assert not error.started


async def test_a_submit_endpoint_that_ran_out_of_time_is_an_unknown_outcome() -> None:
    """It may have handed the job on before."""
    error = await _raised(_submit, answer(500, FUNCTION_TIMED_OUT))
    assert (error.category, error.ambiguous, error.started) == (Category.TIMEOUT, True, False)


@pytest.mark.parametrize(
    ("body", "category", "code"),
    [
        (FUNCTION_TIMED_OUT, Category.TIMEOUT, "provider_job_timeout"),
        (
            {"detail": "Voice design failed: CUDA"},
            Category.PROVIDER_UNAVAILABLE,
            "provider_job_failed",
        ),
    ],
)
async def test_a_design_that_began_and_failed_is_known(
    body: Body, category: Category, code: str
) -> None:
    """The endpoint does the work itself: its failure is certain, and so is the bill."""
    error = await _raised(_design, answer(500, body))
    assert (error.category, error.code) == (category, code)
    assert (error.ambiguous, error.started) == (False, True)
    assert "CUDA" not in error.message


async def test_a_throttle_says_how_long() -> None:
    """Retry-After is obeyed; without it, it is for us to choose, and a submit has few seconds."""
    with_hint = await _raised(_submit, answer(429, b"", {"retry-after": "7"}))
    assert with_hint.retry_after == 7
    assert (await _raised(_submit, answer(429))).retry_after is None


async def test_a_design_without_its_endpoint_is_refused() -> None:
    """Nothing is sent."""
    provider = ModalProvider(submit_url=SUBMIT_URL, status_url=SUBMIT_URL, result_url=SUBMIT_URL)
    with pytest.raises(ProviderRejected) as refused:
        await provider.design(draft(), ATTEMPT)
    assert refused.value.code == "design_unsupported"
    await provider.aclose()


# --- the answer behind a submit's handle --------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, NO_SUCH_CALL), (401, NO_CREDENTIALS), (400, BAD_METHOD), (429, b""), (403, b"no")],
)
async def test_the_platform_cannot_refuse_what_was_posted_before(status: int, body: bytes) -> None:
    """Its refusal is about our GET: the POST has been taken, so the outcome is unknown."""
    handle = see_other(f"{SUBMIT_URL}?{HANDLE_QUERY}")
    error = await _raised(_submit, handle, answer(status, body))
    assert error.ambiguous


async def test_the_endpoint_can() -> None:
    """What its own code says of the POST is certain, however it reaches us."""
    handle = see_other(f"{SUBMIT_URL}?{HANDLE_QUERY}")
    error = await _raised(_submit, handle, answer(400, {"detail": "'text' is required"}))
    assert (type(error), error.ambiguous) == (ProviderInvalid, False)


# --- asking -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [_check, _check_design])
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, NO_CREDENTIALS, "provider_auth"),
        (404, WORKSPACE_DISABLED, "provider_misconfigured"),
        (429, b"", "provider_busy"),
        (502, b"", "provider_unavailable"),
        (503, b"<html>", "provider_unavailable"),
        (504, b"", "provider_timeout"),
    ],
)
async def test_who_could_not_ask_says_so(call: Call, status: int, body: bytes, code: str) -> None:
    """None of these means that the job failed."""
    assert (await _raised(call, answer(status, body))).code == code


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, NO_SUCH_CALL, "provider_misconfigured"),
        (404, {"error": "Unknown job"}, "job_lost"),
        (500, INTERNAL_SERVER_ERROR, "provider_unavailable"),
        (303, b"", "provider_unavailable"),
        (422, FIELD_MISSING, "provider_invalid_request"),
    ],
)
async def test_a_status_endpoint_in_trouble_is_no_state(status: int, body: Body, code: str) -> None:
    """The deployed server answers 200 whatever the state: everything else is about the asking."""
    assert (await _raised(_check, answer(status, body))).code == code


@pytest.mark.parametrize(
    ("status", "body", "category", "code"),
    [
        (500, {"detail": "Voice design failed: CUDA"}, Category.PROVIDER_UNAVAILABLE, "provider_job_failed"),
        (400, {"detail": "Unsupported language: Klingon"}, Category.VALIDATION, "provider_invalid_request"),
        (422, FIELD_MISSING, Category.VALIDATION, "provider_invalid_request"),
    ],
)  # fmt: skip
async def test_a_design_call_that_failed_has_failed(
    status: int, body: Body, category: Category, code: str
) -> None:
    """The endpoint's own last word is believed at once."""
    failed = await provider_over(Scripted([answer(status, body)])).check(DESIGN_TICKET)
    assert isinstance(failed, Failed)
    assert (failed.error.category, failed.error.code, failed.doubtful) == (category, code, False)


@pytest.mark.parametrize(
    ("status", "body", "category", "code"),
    [
        (404, NO_SUCH_CALL, Category.PROVIDER_REJECTED, "job_lost"),
        (500, FUNCTION_TIMED_OUT, Category.TIMEOUT, "provider_job_timeout"),
        (500, FUNCTION_KILLED, Category.PROVIDER_UNAVAILABLE, "provider_unavailable"),
    ],
)
async def test_the_platforms_word_on_a_design_is_believed_the_second_time(
    status: int, body: bytes, category: Category, code: str
) -> None:
    """It may be about this GET."""
    failed = await provider_over(Scripted([answer(status, body)])).check(DESIGN_TICKET)
    assert isinstance(failed, Failed)
    assert (failed.error.category, failed.error.code, failed.doubtful) == (category, code, True)


# --- fetching -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [_fetch, _fetch_design])
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (202, STILL_PROCESSING, NotReady, "result_not_ready"),
        (408, b"", NotReady, "result_not_ready"),
        (500, {"detail": "Failed to get result: "}, ResultExpired, "result_expired"),
        (401, NO_CREDENTIALS, ProviderRejected, "provider_auth"),
        (404, {"error": "Unknown job"}, ResultExpired, "result_expired"),
    ],
)
async def test_a_result_that_is_not_there_says_why(
    call: Call, status: int, body: Body, kind: type[ProviderError], code: str
) -> None:
    """202 is no audio, an empty reason is an expired output."""
    error = await _raised(call, answer(status, body))
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("body", [{"detail": "Failed to get result: boom"}, INTERNAL_SERVER_ERROR])
async def test_a_result_endpoint_in_trouble_may_be_asked_again(body: Body) -> None:
    """Its 500 is for everything; whoever asks bounds the tries."""
    error = await _raised(_fetch, answer(500, body))
    assert (error.code, error.retryable) == ("result_unavailable", True)


async def test_a_stale_call_is_gone_and_a_missing_endpoint_is_not() -> None:
    """The same words: to a handle they mean the output, to the result endpoint its deployment."""
    assert (await _raised(_fetch_design, answer(404, NO_SUCH_CALL))).code == "result_expired"
    assert (await _raised(_fetch, answer(404, NO_SUCH_CALL))).code == "provider_misconfigured"


# --- what is said, and to whom ------------------------------------------------------------------------


async def test_the_endpoints_own_refusal_is_quoted() -> None:
    """A user learns what is wrong with the request, without URLs and line breaks."""
    body = {"detail": "Unsupported language: 'Klingon'.\nSee https://x.example/?sig=c4nary"}
    error = await _raised(_design, answer(400, body))
    assert error.message == "Unsupported language: 'Klingon'. See [...]"


async def test_a_url_of_another_endpoints_is_no_fault_of_the_users() -> None:
    """The worker's router knows no such path: the operator reads that, and the user a sentence of ours."""
    error = await _raised(_submit, answer(404, {"detail": "Not Found"}))
    assert (error.message, error.category) == (
        ProviderRejected.default_message,
        ProviderRejected.category,
    )
    assert "Not Found" in (error.detail or "")


async def test_a_page_is_not_quoted() -> None:
    """What isn't the endpoint's JSON is for the operator only."""
    error = await _raised(_submit, answer(400, b"<html>nginx</html>"))
    assert "nginx" not in error.message
    assert error.detail == "HTTP 400 : <html>nginx</html>"


async def test_fastapis_list_is_read_without_the_input() -> None:
    """It echoes the whole body: the user's text and the clip are shown to nobody."""
    error = await _raised(_submit, answer(422, FIELD_MISSING))
    assert error.message == "body.ref_text: Field required"
    assert TEXT not in f"{vars(error)}"
    assert "UklGRg" not in f"{vars(error)}"


async def test_fastapis_list_is_cut() -> None:
    """The first three fields say enough."""
    listed: list[JsonValue] = [{"loc": ["body", n], "msg": "no"} for n in range(5)]
    error = await _raised(_submit, answer(422, {"detail": listed}))
    assert error.message == "body.0: no; body.1: no; body.2: no"


@pytest.mark.parametrize(
    "detail", [[], [None], ["x"], [{"loc": 7, "msg": 7}], [{"loc": [[], None, 1]}], {"a": 1}, 7, None]
)  # fmt: skip
async def test_an_odd_list_is_survived(detail: JsonValue) -> None:
    """Whatever its shape, a 422 is a refusal."""
    error = await _raised(_submit, answer(422, {"detail": detail}))
    assert type(error) is ProviderInvalid


async def test_a_long_body_is_not_read_for_a_complaint() -> None:
    """A preview-sized answer is never parsed as JSON; its status decides."""
    body = {"detail": "Voice design failed: " + "x" * 100_000}
    error = await _raised(_design, answer(500, body))
    assert (error.ambiguous, len(error.detail or "") < 300) == (True, True)


@pytest.mark.parametrize(
    "call", [_submit, _design, _check, _check_design, _fetch, _fetch_design, _cancel]
)
async def test_no_secret_that_is_echoed_gets_out(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that repeats our headers finds them cut out of every error."""
    body = {"detail": f"bad {KEY} and {SECRET} at https://c4nary.example/?sig=c4nary"}
    error = await _raised(call, answer(403, body))
    assert type(error) is ProviderRejected
    assert "c4nary" not in f"{error} {error!r} {vars(error)} {caplog.text}"


async def test_a_failed_jobs_reason_is_cleaned_too() -> None:
    """What the worker's exception repeats of our headers, or of a signed URL, is cut out."""
    failed = await provider_over(
        Scripted([answer(200, {"status": "failed", "error": f"{SECRET} at https://x/?s=c4nary"})])
    ).check(TICKET)
    assert isinstance(failed, Failed)
    assert "c4nary" not in f"{failed.error}"


@pytest.mark.parametrize("call", [_submit, _design, _check, _check_design, _cancel])
async def test_a_broken_transport_shows_nothing(
    call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    """What httpx raises holds the URL; what we raise holds the kind and the origin."""
    provider = provider_over(Scripted([httpx.ConnectError(f"https://x/?{KEY}")]))
    with pytest.raises(ProviderError) as failed:
        await call(provider)
    assert (failed.value.__cause__, failed.value.__context__) == (None, None)
    assert "c4nary" not in f"{failed.value} {vars(failed.value)} {caplog.text}"
    assert not failed.value.ambiguous


async def test_a_submit_whose_answer_is_lost_is_an_unknown_outcome() -> None:
    """A timeout after the request left is neither a refusal nor a reason to ask again."""
    provider = provider_over(Scripted([httpx.ReadTimeout("silent")]))
    with pytest.raises(ProviderTimeout) as lost:
        await provider.submit(modal_request(), ATTEMPT)
    assert lost.value.ambiguous
