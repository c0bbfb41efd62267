"""The fake Modal, held against what the deployed app and its platform answer."""

import base64
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import fields

import httpx
import pytest

from ttsorch._http import HttpClient, post_request
from ttsorch.errors import ProviderUnavailable
from ttsorch.models import JsonValue
from ttsorch.testing.fake_modal import FakeModal, fake_modal, ports_from
from ttsorch.testing.speakers import tone_speaker
from ttsorch.testing.speech import tone_wav
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio

CLIP = tone_wav(0.05)
TEXT = "Hello, wörld."
JOB: dict[str, JsonValue] = {
    "text": TEXT,
    "ref_audio_base64": base64.b64encode(CLIP).decode(),
    "ref_text": "What the clip says.",
}
DESIGN: dict[str, JsonValue] = {"text": "I am new here.", "instruct": "An old sailor."}
CALL_ID = re.compile(r"fc-[0-9A-Z]{26}")


class Client:
    """One call per endpoint, as an adapter makes it: nothing is followed."""

    def __init__(self, modal: FakeModal, http: httpx.AsyncClient) -> None:
        self.modal = modal
        self.http = http

    async def submit(self, **changes: JsonValue) -> httpx.Response:
        return await self.http.post(self.modal.endpoints.submit, json=JOB | changes)

    async def job(self, **changes: JsonValue) -> str:
        job_id: str = (await self.submit(**changes)).json()["job_id"]
        return job_id

    async def status(self, job_id: str) -> httpx.Response:
        return await self.http.get(self.modal.endpoints.status, params={"job_id": job_id})

    async def result(self, job_id: str) -> httpx.Response:
        return await self.http.get(self.modal.endpoints.result, params={"job_id": job_id})

    async def cancel(self, job_id: str) -> httpx.Response:
        url = self.modal.servers.cancel.url
        return await self.http.post(url, json={"job_id": job_id})

    async def design(self, **changes: JsonValue) -> httpx.Response:
        return await self.http.post(self.modal.endpoints.design, json=DESIGN | changes)


@pytest.fixture
async def modal() -> AsyncIterator[FakeModal]:
    async with fake_modal() as running:
        yield running


@pytest.fixture
async def client(modal: FakeModal) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(timeout=20) as http:
        yield Client(modal, http)


def said(reply: httpx.Response) -> tuple[int, object]:
    return reply.status_code, reply.json()


def plainly(reply: httpx.Response) -> tuple[int, str]:
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    return reply.status_code, reply.text


async def test_a_job_from_submit_to_audio(modal: FakeModal, client: Client) -> None:
    """Submitted, running for one check, completed, and the speaker's WAV as an attachment."""
    status, body = said(await client.submit())
    job_id = modal.ledger.accepted[0].id
    assert CALL_ID.fullmatch(job_id)
    assert (status, body) == (
        200,
        {"job_id": job_id, "status": "submitted", "text_length": len(TEXT)},
    )
    running = {"job_id": job_id, "status": "running", "result_ready": False}
    assert said(await client.status(job_id)) == (200, running)
    completed = {"job_id": job_id, "status": "completed", "result_ready": True}
    assert said(await client.status(job_id)) == (200, completed)
    result = await client.result(job_id)
    assert (result.status_code, result.content) == (200, await tone_speaker(TEXT))
    assert result.headers["content-type"] == "audio/wav"
    assert result.headers["content-disposition"] == "attachment; filename=output.wav"
    assert result.headers["content-length"] == str(len(result.content))


async def test_the_ledger_counts_what_the_client_can_t(modal: FakeModal, client: Client) -> None:
    """Accepted texts in order, refused submits too, checks and results per job, cancels, designs."""
    first, second = await client.job(text="one"), await client.job(text="two")
    await client.submit(text="")
    for _ in range(3):
        await client.status(first)
    await client.result(first)
    await client.result(second)
    await client.cancel(second)
    await client.design()
    ledger = modal.ledger
    assert ledger.accepted_texts() == ["one", "two"]
    assert ledger.accepted_texts("design") == ["I am new here."]
    assert ledger.submits == 4
    assert (ledger.checks[first], ledger.checks[second]) == (3, 0)
    assert (ledger.results[first], ledger.results[second]) == (1, 0)
    assert ledger.cancels == [second]
    assert "one" not in repr(ledger)


async def test_what_was_sent_can_be_read(modal: FakeModal, client: Client) -> None:
    """The clip arrives decoded; language and token budget have the deployed defaults."""
    job = modal.jobs[await client.job()]
    assert (job.text, job.ref_text, job.clip) == (TEXT, "What the clip says.", CLIP)
    assert (job.language, job.max_new_tokens) == ("Auto", 2048)
    other = modal.jobs[await client.job(language="German", max_new_tokens=4096)]
    assert (other.language, other.max_new_tokens) == ("German", 4096)
    assert TEXT not in repr(job)


@pytest.mark.parametrize("name", ["text", "ref_audio_base64", "ref_text"])
@pytest.mark.parametrize("value", ["", None])
async def test_a_missing_field_is_a_400(
    modal: FakeModal, client: Client, name: str, value: str | None
) -> None:
    """With the field's name in quotes; nothing is accepted."""
    expected = (400, {"detail": f"'{name}' is required"})
    assert said(await client.submit(**{name: value})) == expected
    assert modal.ledger.accepted == []


async def test_a_field_of_another_type_breaks_the_handler(client: Client) -> None:
    """The deployed code takes its length, and Starlette says so in plain text."""
    assert plainly(await client.submit(text=5)) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        (b"", "missing", ["body"]),
        (b"{", "json_invalid", ["body", 1]),
        (b"[1]", "dict_type", ["body"]),
    ],
)
async def test_a_body_that_is_no_object_is_a_422(
    modal: FakeModal, client: Client, body: bytes, kind: str, where: list[object]
) -> None:
    """FastAPI's list of problems, on every endpoint that takes a body."""
    headers = {"content-type": "application/json"}
    for url in (modal.endpoints.submit, modal.servers.cancel.url, modal.endpoints.design):
        reply = await client.http.post(url, content=body, headers=headers)
        problem = reply.json()["detail"][0]
        assert (reply.status_code, problem["type"], problem["loc"]) == (422, kind, where)
        assert {"msg", "input"} <= set(problem)


async def test_a_body_that_isn_t_declared_as_json_is_a_422(client: Client) -> None:
    """FastAPI doesn't guess."""
    reply = await client.http.post(client.modal.endpoints.submit, content=json.dumps(JOB))
    assert (reply.status_code, reply.json()["detail"][0]["type"]) == (422, "dict_type")


async def test_a_body_that_isn_t_text_is_a_400(client: Client) -> None:
    """As FastAPI answers what it can't decode."""
    headers = {"content-type": "application/json"}
    url = client.modal.endpoints.submit
    reply = await client.http.post(url, content=b'"\xff\xff"', headers=headers)
    assert said(reply) == (400, {"detail": "There was an error parsing the body"})


async def test_a_question_without_a_job_is_refused(modal: FakeModal, client: Client) -> None:
    """No job_id is 422, an empty one 400, for status and result; cancel knows only 400."""
    for url in (modal.endpoints.status, modal.endpoints.result):
        reply = await client.http.get(url)
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["query", "job_id"])
        empty = await client.http.get(url, params={"job_id": ""})
        assert said(empty) == (400, {"detail": "'job_id' is required"})
    assert said(await client.cancel("")) == (400, {"detail": "'job_id' is required"})
    assert said(await client.http.post(modal.servers.cancel.url, json={})) == (
        400,
        {"detail": "'job_id' is required"},
    )


async def test_each_endpoint_is_a_host_of_its_own(modal: FakeModal, client: Client) -> None:
    """Five origins with the handler at the root; other paths are 404, other methods 405."""
    urls = [getattr(modal.endpoints, field.name) for field in fields(modal.endpoints)]
    assert len(set(urls)) == 5
    for url in urls:
        reply = await client.http.get(f"{url}/submit-job")
        assert said(reply) == (404, {"detail": "Not Found"})
        assert said(await client.http.put(url)) == (405, {"detail": "Method Not Allowed"})


async def test_the_jobs_length_is_the_tests_choice(modal: FakeModal, client: Client) -> None:
    """No check, three checks, or until the test ends it."""

    async def words(job_id: str) -> list[str]:
        return [(await client.status(job_id)).json()["status"] for _ in range(4)]

    modal.checks_until_done = 0
    assert await words(await client.job()) == ["completed"] * 4
    modal.checks_until_done = 3
    assert await words(await client.job()) == ["running"] * 3 + ["completed"]
    modal.checks_until_done = None
    job_id = await client.job()
    assert await words(job_id) == ["running"] * 4
    modal.finish(job_id)
    assert await words(job_id) == ["completed"] * 4


async def test_a_result_too_early_is_a_202(modal: FakeModal, client: Client) -> None:
    """JSON with a success status, which is no audio; asking for it doesn't hurry the job."""
    modal.checks_until_done = None
    job_id = await client.job()
    for _ in range(3):
        assert said(await client.result(job_id)) == (202, {"detail": "Job still processing"})
    modal.finish(job_id)
    assert (await client.result(job_id)).content == await tone_speaker(TEXT)


async def test_a_failed_job(modal: FakeModal, client: Client) -> None:
    """Status stays 200 and has the worker's words; result is a 500 with the same."""
    job_id = await client.job()
    modal.fail(job_id, "CUDA out of memory")
    failed = {"status": "failed", "result_ready": False, "error": "CUDA out of memory"}
    assert said(await client.status(job_id)) == (200, {"job_id": job_id, **failed})
    assert said(await client.result(job_id)) == (
        500,
        {"detail": "Failed to get result: CUDA out of memory"},
    )


@pytest.mark.parametrize("change", [{"language": "Klingon"}, {"ref_audio_base64": "!AAAA"}])
async def test_what_only_the_worker_can_tell_fails_later(
    client: Client, change: dict[str, JsonValue]
) -> None:
    """An unknown language and a clip that is no base64 are accepted, run, and fail."""
    job_id = await client.job(**change)
    assert (await client.status(job_id)).json()["status"] == "running"
    failed = (await client.status(job_id)).json()
    assert failed["status"] == "failed"
    assert failed["error"]


async def test_a_speaker_that_fails_fails_the_job_and_the_design() -> None:
    """A job says so in its status; design answers 500 in JSON."""

    async def mute(text: str) -> bytes:
        raise RuntimeError("lost my voice")

    async with fake_modal(speak=mute, checks_until_done=0) as modal, httpx.AsyncClient() as http:
        client = Client(modal, http)
        assert (await client.status(await client.job())).json()["error"] == "lost my voice"
        expected = (500, {"detail": "Voice design failed: lost my voice"})
        assert said(await client.design()) == expected


async def test_an_unknown_job_is_a_failed_one(modal: FakeModal, client: Client) -> None:
    """200 failed for status, 500 for result and cancel: no 404 anywhere."""
    job_id = await client.job()
    modal.forget(job_id)
    status, body = said(await client.status(job_id))
    assert status == 200
    assert isinstance(body, dict)
    assert (body["status"], body["result_ready"]) == ("failed", False)
    assert body["error"]
    for reply, detail in (
        (await client.result(job_id), "Failed to get result: "),
        (await client.cancel(job_id), "Failed to cancel: "),
    ):
        assert reply.status_code == 500
        assert reply.json()["detail"].startswith(detail)


async def test_an_expired_job_fails_without_a_word(modal: FakeModal, client: Client) -> None:
    """Even one that was completed."""
    modal.checks_until_done = 0
    job_id = await client.job()
    await client.status(job_id)
    modal.expire(job_id)
    failed = {"job_id": job_id, "status": "failed", "result_ready": False, "error": ""}
    assert said(await client.status(job_id)) == (200, failed)
    assert said(await client.result(job_id)) == (500, {"detail": "Failed to get result: "})


async def test_a_cancelled_job_reads_failed(client: Client) -> None:
    """Cancel says cancelled; a later status doesn't know that word."""
    job_id = await client.job()
    assert said(await client.cancel(job_id)) == (200, {"job_id": job_id, "status": "cancelled"})
    for _ in range(3):
        assert (await client.status(job_id)).json()["status"] == "failed"
    assert (await client.result(job_id)).status_code == 500


async def test_a_cancel_too_late_changes_nothing(modal: FakeModal, client: Client) -> None:
    """The answer is the same, and the audio is there."""
    modal.checks_until_done = 0
    job_id = await client.job()
    await client.status(job_id)
    assert (await client.cancel(job_id)).json()["status"] == "cancelled"
    assert (await client.status(job_id)).json()["status"] == "completed"
    assert (await client.result(job_id)).status_code == 200


async def test_cancel_switches(modal: FakeModal, client: Client) -> None:
    """Ignored by a busy container, failing, not deployed."""
    job_id = await client.job()
    modal.switches.cancel_ignored = True
    assert (await client.cancel(job_id)).status_code == 200
    words = [(await client.status(job_id)).json()["status"] for _ in range(2)]
    assert words == ["running", "completed"]
    modal.switches.cancel_fails = True
    reply = await client.cancel(job_id)
    assert reply.status_code == 500
    assert reply.json()["detail"].startswith("Failed to cancel: ")
    modal.switches.cancel_missing = True
    assert modal.endpoints.cancel is None
    assert "MODAL_JOB_CANCEL" not in modal.environ()
    assert plainly(await client.cancel(job_id)) == (404, "modal-http: invalid function call")


async def test_status_switches(modal: FakeModal, client: Client) -> None:
    """Another job's answer, another word, a stumbling control plane, a failure without words."""
    modal.checks_until_done = None
    job_id = await client.job()
    modal.switches.running_word = "queued"
    assert (await client.status(job_id)).json()["status"] == "queued"
    modal.switches.wrong_job_id = True
    other = (await client.status(job_id)).json()["job_id"]
    assert CALL_ID.fullmatch(other)
    assert other != job_id
    modal.switches.wrong_job_id, modal.switches.status_blips = False, 2
    words = [(await client.status(job_id)).json()["status"] for _ in range(3)]
    assert words == ["failed", "failed", "queued"]
    modal.fail(job_id, "reason")
    modal.switches.failed_with_empty_error = True
    assert (await client.status(job_id)).json()["error"] == ""


async def test_result_switches(modal: FakeModal, client: Client) -> None:
    """202 twice, then 500 once, then the audio; True means always."""
    modal.checks_until_done = 0
    job_id = await client.job()
    await client.status(job_id)
    modal.switches.result_202_times, modal.switches.result_500_after_completed = 2, 1
    statuses = [(await client.result(job_id)).status_code for _ in range(5)]
    assert statuses == [202, 202, 500, 200, 200]
    modal.switches.result_500_after_completed = True
    assert [(await client.result(job_id)).status_code for _ in range(4)] == [500] * 4
    assert modal.ledger.results[job_id] == 2


async def test_submit_switches(modal: FakeModal, client: Client) -> None:
    """An undeployed worker takes nothing; a reply without an id hides a job that was taken."""
    modal.switches.submit_500_text = "Internal Server Error"
    assert plainly(await client.submit()) == (500, "Internal Server Error")
    assert modal.ledger.accepted == []
    modal.switches.submit_500_text, modal.switches.missing_job_id = None, True
    assert said(await client.submit()) == (200, {"status": "submitted", "text_length": len(TEXT)})
    assert len(modal.ledger.accepted) == 1


async def test_the_old_spellings(modal: FakeModal, client: Client) -> None:
    """Words, elapsed seconds and 404s of the app's own mock."""
    modal.switches.old_spellings = True
    job_id, other = await client.job(), await client.job()
    processing = (await client.status(job_id)).json()
    assert processing["status"] == "processing"
    assert processing["elapsed_seconds"] == 1
    assert (await client.status(job_id)).json()["status"] == "completed"
    assert said(await client.cancel(other)) == (200, {"cancelled": True})
    assert (await client.status(other)).json()["status"] == "cancelled"
    for call in (client.status, client.result, client.cancel):
        assert said(await call("fc-unknown")) == (404, {"error": "Unknown job"})


async def test_a_design_is_a_wav(modal: FakeModal, client: Client) -> None:
    """The voice saying the text, at once."""
    reply = await client.design(language="Chinese")
    assert (reply.status_code, reply.content) == (200, await tone_speaker("I am new here."))
    assert reply.headers["content-type"] == "audio/wav"
    assert reply.headers["content-disposition"] == "attachment; filename=designed_voice.wav"


async def test_a_design_is_checked_before_it_costs(modal: FakeModal, client: Client) -> None:
    """Missing, longer than 500 characters, unknown language: 400, nothing accepted; 500 is fine."""
    for changes in (
        {"text": ""}, {"instruct": ""}, {"text": "x" * 501}, {"instruct": "x" * 501},
        {"language": "Klingon"},
    ):  # fmt: skip
        reply = await client.design(**changes)
        assert reply.status_code == 400
        assert isinstance(reply.json()["detail"], str)
    assert modal.ledger.accepted == []
    assert (await client.design(text="x" * 500, instruct="y" * 500)).status_code == 200


async def test_a_long_design_is_asked_for_again(modal: FakeModal, client: Client) -> None:
    """303 to the same URL with a call id, 303 again, 202, 408, then the WAV, as often as one likes; the
    work is done once."""
    modal.switches.design_redirects, modal.switches.design_waits = 2, (202, 408)
    first = await client.design()
    assert first.status_code == 303
    location = first.headers["location"]
    assert re.fullmatch(
        re.escape(modal.endpoints.design) + r"/\?__modal_function_call_id=fc-[0-9A-Z]{26}", location
    )
    second = await client.http.get(location)
    assert (second.status_code, second.headers["location"]) == (303, location)
    replies = [await client.http.get(location) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [202, 408, 200, 200]
    assert replies[-1].content == await tone_speaker("I am new here.")
    assert modal.ledger.accepted_texts("design") == ["I am new here."]


async def test_posting_to_a_result_url_is_refused(modal: FakeModal, client: Client) -> None:
    """And does no work; a call id that Modal doesn't know is a 404."""
    modal.switches.design_redirects = 1
    location = (await client.design()).headers["location"]
    again = await client.http.post(location, json=DESIGN)
    assert plainly(again) == (400, "modal-http: bad redirect method")
    assert len(modal.ledger.accepted) == 1
    unknown = await client.http.get(f"{modal.endpoints.design}?__modal_function_call_id=fc-no")
    assert plainly(unknown) == (404, "modal-http: invalid function call")


async def test_a_redirect_may_lead_elsewhere(modal: FakeModal, client: Client) -> None:
    """To whatever address a test wants to see refused."""
    modal.switches.design_redirect_to = "http://169.254.169.254/latest"
    reply = await client.design()
    assert (reply.status_code, reply.headers["location"]) == (303, "http://169.254.169.254/latest")


async def test_a_slow_submit_is_redirected_too(modal: FakeModal, client: Client) -> None:
    """The job was taken; its id is at the result URL. A refusal isn't slow."""
    modal.switches.submit_redirects = 1
    location = (await client.submit()).headers["location"]
    reply = await client.http.get(location)
    assert reply.json()["job_id"] == modal.ledger.accepted[0].id
    assert (await client.submit(text="")).status_code == 400


@pytest.mark.parametrize("after_work", [False, True])
async def test_the_platform_breaks(modal: FakeModal, client: Client, after_work: bool) -> None:
    """Plain text from the edge, before or after the app did its work, everywhere or in one place."""
    modal.switches.platform_error = (
        500,
        "modal-http: internal error: function execution timed out",
    )
    modal.switches.platform_error_after_work = after_work
    modal.switches.platform_error_at = "submit"
    assert plainly(await client.submit()) == modal.switches.platform_error
    assert len(modal.ledger.accepted) == int(after_work)
    assert (await client.status("fc-x")).status_code == 200
    modal.switches.platform_error_at = None
    assert plainly(await client.status("fc-x")) == modal.switches.platform_error
    modal.switches.platform_error = None
    assert (await client.submit()).status_code == 200


async def test_too_many_requests(modal: FakeModal, client: Client) -> None:
    """As many as were asked for, with and without a hint; nothing is accepted."""
    modal.switches.too_many_requests = 1
    assert "retry-after" not in (await client.submit()).headers
    modal.switches.too_many_requests, modal.switches.retry_after = 1, "7"
    reply = await client.submit()
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    assert modal.ledger.accepted == []
    assert (await client.submit()).status_code == 200


async def test_proxy_auth(modal: FakeModal, client: Client) -> None:
    """Both spellings of the credentials, on every endpoint and on result URLs; else 401."""
    key, secret = "wk-not-a-real-key", "ws-not-a-real-secret"
    modal.switches.proxy_auth = (key, secret)
    modal.switches.design_redirects = 1
    missing = (401, "modal-http: missing credentials for proxy authorization")
    for call in (client.submit, client.design):
        assert plainly(await call()) == missing
    for ask in (client.status, client.result, client.cancel):
        assert plainly(await ask("fc-x")) == missing
    client.http.headers = httpx.Headers({"Modal-Key": key, "Modal-Secret": "wrong"})
    assert (await client.submit()).status_code == 401
    client.http.headers = httpx.Headers({"Modal-Key": key, "Modal-Secret": secret})
    assert (await client.submit()).status_code == 200
    client.http.headers = httpx.Headers({"Authorization": f"Bearer {key}.{secret}"})
    location = (await client.design()).headers["location"]
    assert (await client.http.get(location)).status_code == 200
    client.http.headers = httpx.Headers()
    assert plainly(await client.http.get(location)) == missing


async def test_the_environment_leads_here(modal: FakeModal) -> None:
    """Whole URLs under the documented names; credentials only when they are wanted."""
    endpoints = modal.endpoints
    assert modal.environ() == {
        "MODAL_JOB_SUBMIT": endpoints.submit,
        "MODAL_JOB_STATUS": endpoints.status,
        "MODAL_JOB_RESULT": endpoints.result,
        "MODAL_JOB_CANCEL": endpoints.cancel,
        "MODAL_ENDPOINT_VOICE_DESIGN": endpoints.design,
    }
    modal.switches.proxy_auth = ("wk-fake", "ws-fake")
    assert modal.environ()["MODAL_KEY"] == "wk-fake"
    assert modal.environ()["MODAL_SECRET"] == "ws-fake"


async def test_a_submit_whose_answer_is_lost_is_on_the_bill(modal: FakeModal) -> None:
    """The case that the whole library is about, through the library's own client."""
    modal.servers.submit.faults.append(WireFault(lose_reply=True))
    async with HttpClient() as http:
        with pytest.raises(ProviderUnavailable) as caught:
            await http.exchange(post_request(modal.endpoints.submit, JOB), deadline=20)
    assert caught.value.ambiguous
    assert modal.ledger.accepted_texts() == [TEXT]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_a_developer_until_interrupted(number: signal.Signals) -> None:
    """The lines it prints can be sourced; it ends with status 0 and says nothing else."""
    with subprocess.Popen(
        [sys.executable, "-m", "ttsorch.testing.fake_modal", "--port", "0", "--engine"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        environ = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        submit = environ["MODAL_JOB_SUBMIT"]
        job_id = httpx.post(submit, json=JOB, timeout=20).json()["job_id"]
        for _ in range(2):
            status = httpx.get(environ["MODAL_JOB_STATUS"], params={"job_id": job_id}, timeout=60)
        assert status.json()["status"] == "completed"
        process.send_signal(number)
        rest, complaint = process.communicate(timeout=60)
    assert submit.startswith("http://127.0.0.1:")
    assert (process.returncode, rest, complaint) == (0, "", "")


def test_the_five_ports_are_neighbours() -> None:
    """Except that 0 is any port, five times."""
    assert ports_from(8101) == (8101, 8102, 8103, 8104, 8105)
    assert ports_from(0) == (0, 0, 0, 0, 0)


async def test_chosen_ports_are_used_in_their_order() -> None:
    """A demo's URLs are the same at every start."""
    async with fake_modal() as first:
        ports = tuple(getattr(first.servers, field.name).port for field in fields(first.servers))
    async with fake_modal(ports=ports) as second:
        assert second.endpoints == first.endpoints


def test_a_taken_port_is_said_in_a_sentence() -> None:
    """Status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "ttsorch.testing.fake_modal", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Cannot serve: ")
    assert "Traceback" not in done.stderr
