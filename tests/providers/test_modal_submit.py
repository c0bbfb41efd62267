"""What becomes of a submit: the job's id, the handle that leads to it, and answers that are neither."""

import time

import httpx
import pytest

from tests.providers.modal_recordings import (
    DESIGN_URL,
    HANDLE_QUERY,
    JOB_ID,
    KEY,
    SUBMIT_URL,
    SUBMITTED,
    Scripted,
    answer,
    draft,
    modal_request,
    provider_over,
    see_other,
    speech_wav,
)
from ttsorch.errors import ProviderError, ProviderUnavailable
from ttsorch.models import (
    Accepted,
    Attempt,
    JsonValue,
)
from ttsorch.providers.modal import ModalProvider

pytestmark = pytest.mark.anyio

ATTEMPT = Attempt("key")
TICKET = {"job_id": JOB_ID}
SUBMIT_HANDLE = f"{SUBMIT_URL}?{HANDLE_QUERY}"
DESIGN_HANDLE = f"{DESIGN_URL}?{HANDLE_QUERY}"


@pytest.mark.parametrize("job_id", [JOB_ID, "a", "x" * 256, "fc:1.2_3-4"])
async def test_a_submit_gives_the_jobs_id(job_id: str) -> None:
    """One POST, and the ticket is the id."""
    transport = Scripted([answer(200, {**SUBMITTED, "job_id": job_id})])
    accepted = await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert accepted == Accepted({"job_id": job_id})
    assert [request.method for request in transport.asked] == ["POST"]


async def test_a_submit_travels_on_a_connection_of_its_own() -> None:
    """So does a design: on a reused connection, an idle close looks like a lost paid call."""
    transport = Scripted([answer(200, SUBMITTED), answer(200, speech_wav())])
    provider = provider_over(transport)
    await provider.submit(modal_request(), ATTEMPT)
    await provider.design(draft(), ATTEMPT)
    assert [request.extensions["fresh_connection"] for request in transport.asked] == [True, True]


async def test_a_paid_call_outwaits_modals_own_limit() -> None:
    """Modal gives the handle after 150 s of silence; neither paid POST hangs up before."""
    transport = Scripted([answer(200, SUBMITTED), answer(200, speech_wav())])
    provider = provider_over(transport)
    await provider.submit(modal_request(), ATTEMPT)
    await provider.design(draft(), ATTEMPT)
    assert all(request.extensions["timeout"]["read"] > 150 for request in transport.asked)


@pytest.mark.parametrize(
    "job_id", [None, "", "x" * 257, "a/b", "a\r\nb", "../a", 7, ["fc-1"], "fc-é"]
)
async def test_an_id_that_is_none_is_an_unknown_outcome(job_id: JsonValue) -> None:
    """A success without a usable id may well have started a job."""
    transport = Scripted([answer(200, {**SUBMITTED, "job_id": job_id})])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous
    assert "without a usable job_id" in str(unknown.value.detail)


@pytest.mark.parametrize("body", [b"", b'{"job_id":"fc-', b"<html>", b"[]", b"null"])
async def test_a_success_that_cannot_be_read_is_an_unknown_outcome(body: bytes) -> None:
    """Whatever the body is, a 200 may have started a job."""
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(Scripted([answer(200, body)])).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous


async def test_a_submits_handle_is_read_by_get() -> None:
    """A 303 is followed to the answer, without the body and with the proxy token."""
    transport = Scripted([see_other(f"/?{HANDLE_QUERY}"), answer(200, SUBMITTED)])
    accepted = await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert accepted == Accepted(TICKET)
    second = transport.asked[1]
    assert (second.method, str(second.url), second.content) == ("GET", SUBMIT_HANDLE, b"")
    assert second.headers["modal-key"] == KEY


@pytest.mark.parametrize("status", [301, 302])
async def test_other_redirects_lead_to_the_answer_too(status: int) -> None:
    """Clients have turned a POST into a GET on these for decades."""
    moved = answer(status, headers={"location": SUBMIT_HANDLE})
    transport = Scripted([moved, answer(200, SUBMITTED)])
    assert await provider_over(transport).submit(modal_request(), ATTEMPT) == Accepted(TICKET)
    assert transport.asked[1].method == "GET"


async def test_a_handle_is_read_within_the_submits_deadline() -> None:
    """Both exchanges end by the time that the submit may take, and a design by its own."""
    transport = Scripted(
        [see_other(SUBMIT_HANDLE), answer(200, SUBMITTED), answer(200, speech_wav())]
    )
    provider = ModalProvider(
        submit_url=SUBMIT_URL,
        status_url=SUBMIT_URL,
        result_url=SUBMIT_URL,
        design_url=SUBMIT_URL,
        transport=transport,
        submit_deadline=50.0,
        design_deadline=70.0,
    )
    began = time.monotonic()
    await provider.submit(modal_request(), ATTEMPT)
    await provider.design(draft(), ATTEMPT)
    first, second, design = (request.extensions["deadline"] - began for request in transport.asked)
    assert 45 < second < first + 1 < 60
    assert 65 < design < 80


async def test_a_handle_is_read_five_times_and_no_more() -> None:
    """A chain that goes on leaves the outcome unknown, with the call's id for an operator; nothing is posted
    again."""
    transport = Scripted([see_other(SUBMIT_HANDLE)] * 6)
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous
    assert unknown.value.request_id == "fc-01HANDLE"
    assert [request.method for request in transport.asked] == ["POST", *["GET"] * 5]


async def test_each_handle_leads_to_the_next() -> None:
    """The Location of the second redirect is the one that is asked."""
    other = f"{SUBMIT_URL}?__modal_function_call_id=fc-02"
    transport = Scripted([see_other(SUBMIT_HANDLE), see_other(other), answer(200, SUBMITTED)])
    await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert [str(request.url) for request in transport.asked[1:]] == [SUBMIT_HANDLE, other]


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("silent"), httpx.PoolTimeout("full")],
)
async def test_a_handle_that_cannot_be_read_is_an_unknown_outcome(failure: Exception) -> None:
    """Even when the GET certainly never left: the POST before it was taken."""
    transport = Scripted([see_other(SUBMIT_HANDLE), failure])
    with pytest.raises(ProviderError) as unknown:
        await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous
    assert unknown.value.__context__ is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/?x=1",
        "http://acme--qwen3-tts-submit-job.modal.run/?x=1",
        "https://acme--qwen3-tts-submit-job.modal.run:8443/?x=1",
        "https://user@acme--qwen3-tts-submit-job.modal.run/",
        "//evil.example/",
        "",
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(status: int, location: str) -> None:
    """Another scheme, host or port than was asked gets nothing, and the outcome is unknown."""
    transport = Scripted([answer(status, headers={"location": location})])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous
    assert len(transport.asked) == 1


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_wants_the_post_again_is_not_followed(status: int) -> None:
    """Sending the text to the same place twice may be paid twice."""
    transport = Scripted([answer(status, headers={"location": SUBMIT_HANDLE})])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).submit(modal_request(), ATTEMPT)
    assert unknown.value.ambiguous
    assert len(transport.asked) == 1


async def test_a_location_of_any_length_is_not_kept() -> None:
    """A handle goes into a row; one of 4 KiB is no handle."""
    transport = Scripted([see_other(DESIGN_HANDLE + "x" * 4096)])
    with pytest.raises(ProviderUnavailable) as unknown:
        await provider_over(transport).design(draft(), ATTEMPT)
    assert unknown.value.ambiguous
