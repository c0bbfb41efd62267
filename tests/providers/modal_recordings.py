"""What a Modal deployment of Qwen3-TTS answers, as data, and a transport that answers it in-process."""

import io
import json
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

from ttsorch._http import Reply
from ttsorch.models import Clip, JsonValue, SpeechRequest, Voice, VoiceSource
from ttsorch.providers.modal import ModalProvider

HOST = "https://acme--qwen3-tts-{}.modal.run"
SUBMIT_URL = HOST.format("submit-job") + "/"
STATUS_URL = HOST.format("job-status") + "/"
RESULT_URL = HOST.format("job-result") + "/"
CANCEL_URL = HOST.format("job-cancel") + "/"
DESIGN_URL = HOST.format("voice-design") + "/"
HANDLE_QUERY = "__modal_function_call_id=fc-01HANDLE"

KEY, SECRET = "wk-fake-key-c4nary", "fake:secret:c4nary"
JOB_ID = "fc-01JD8K7ZQ3"
TEXT, TRANSCRIPT, CLIP = "Read this aloud.", "What the clip says.", b"RIFF\x24\0\0\0WAVEfake-clip"


# --- recorded bodies ----------------------------------------------------------------------------------

SUBMITTED: Mapping[str, JsonValue] = {"job_id": JOB_ID, "status": "submitted", "text_length": 16}
RUNNING: Mapping[str, JsonValue] = {"job_id": JOB_ID, "status": "running", "result_ready": False}
COMPLETED: Mapping[str, JsonValue] = {"job_id": JOB_ID, "status": "completed", "result_ready": True}
FAILED: Mapping[str, JsonValue] = {
    "job_id": JOB_ID,
    "status": "failed",
    "result_ready": False,
    "error": "CUDA out of memory. Tried to allocate 2.00 GiB",
}
EXPIRED: Mapping[str, JsonValue] = {**FAILED, "error": ""}
TIMED_OUT: Mapping[str, JsonValue] = {
    **FAILED,
    "error": "Task's current input in-01 hit its timeout of 1800s",
}
CANCELLED: Mapping[str, JsonValue] = {"job_id": JOB_ID, "status": "cancelled"}
STILL_PROCESSING: Mapping[str, JsonValue] = {"detail": "Job still processing"}
FIELD_MISSING: Mapping[str, JsonValue] = {
    "detail": [
        {
            "type": "missing",
            "loc": ["body", "ref_text"],
            "msg": "Field required",
            "input": {"text": TEXT, "ref_audio_base64": "UklGRg=="},
        }
    ]
}

NO_CREDENTIALS = b"modal-http: missing credentials for proxy authorization"
NO_SUCH_CALL = b"modal-http: invalid function call"
WORKSPACE_DISABLED = b"modal-http: workspace acme is disabled"
BAD_METHOD = b"modal-http: bad redirect method"
FUNCTION_TIMED_OUT = b"modal-http: internal error: function execution timed out"
FUNCTION_KILLED = b"modal-http: internal error: function was terminated by signal 9"
INTERNAL_SERVER_ERROR = b"Internal Server Error"


def speech_wav(seconds: float = 0.5) -> bytes:
    """16-bit mono at 24 kHz, as the worker writes it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(b"\x01\x02" * int(24_000 * seconds))
    return file.getvalue()


# --- requests and replies -----------------------------------------------------------------------------


def modal_voice(
    *, transcript: str | None = TRANSCRIPT, audio_key: str | None = "voices/alice/1.wav"
) -> Voice:
    return Voice(
        id="00000000-0000-4000-8000-000000000001",
        name="Alice",
        tts_provider="modal",
        owner="alice",
        source=VoiceSource.UPLOADED,
        reference_transcript=transcript,
        reference_audio_key=audio_key,
    )


def modal_request(**options: JsonValue) -> SpeechRequest:
    return SpeechRequest(
        TEXT, modal_voice(), language="English", options=options, clip=Clip(CLIP, "audio/wav")
    )


def draft(language: str = "German") -> Voice:
    return Voice(
        id="",
        name="Nora",
        tts_provider="modal",
        language=language,
        description="An old sea captain.",
        reference_transcript="A preview text.",
    )


def reply(
    status: int,
    body: bytes | Mapping[str, JsonValue] = b"",
    *,
    url: str = SUBMIT_URL,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """What ``HttpClient.exchange`` gives back."""
    return Reply(status, headers or {}, _encoded(body), url)


def answer(
    status: int,
    body: bytes | Mapping[str, JsonValue] = b"",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """What a transport gives back."""
    return httpx.Response(status, content=_encoded(body), headers=headers)


def see_other(location: str) -> httpx.Response:
    return answer(303, headers={"location": location})


def _encoded(body: bytes | Mapping[str, JsonValue]) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


# --- transports ---------------------------------------------------------------------------------------


@dataclass
class Scripted(httpx.AsyncBaseTransport):
    """Gives its answers in order; an exception among them is raised instead. Keeps what it was asked."""

    answers: Sequence[httpx.Response | Exception]
    asked: list[httpx.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        given = self.answers[len(self.asked) - 1]
        if isinstance(given, Exception):
            raise given
        return given


class FakeDeployment(httpx.AsyncBaseTransport):
    """The deployed server's rules, in memory: each endpoint on its own host, a status that is always a 200,
    a result endpoint with 202 and 500 only. A design takes long unless ``designs_fast``; then its handle
    answers once it is among ``designed``."""

    def __init__(self, *, designs_fast: bool = False) -> None:
        self.jobs: dict[str, str] = {}
        self.designed: set[str] = set()
        self._designs_fast = designs_fast
        self._endpoints: Mapping[str, Callable[[httpx.Request], httpx.Response]] = {
            SUBMIT_URL: self._submit,
            STATUS_URL: self._status,
            RESULT_URL: self._result,
            CANCEL_URL: self._cancel,
            DESIGN_URL: self._design,
        }

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self._endpoints[f"https://{request.url.host}/"](request)

    def _submit(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        for name in ("text", "ref_audio_base64", "ref_text"):
            if not body.get(name):
                return answer(400, {"detail": f"'{name}' is required"})
        job_id = f"fc-{len(self.jobs):08}"
        self.jobs[job_id] = "running"
        return answer(200, {"job_id": job_id, "status": "submitted"})

    def _status(self, request: httpx.Request) -> httpx.Response:
        job_id = _job_id(request)
        status = self.jobs.get(job_id, "failed")
        error = {"error": "Job not found"} if status == "failed" else {}
        return answer(
            200,
            {"job_id": job_id, "status": status, "result_ready": status == "completed", **error},
        )

    def _result(self, request: httpx.Request) -> httpx.Response:
        status = self.jobs.get(_job_id(request), "failed")
        if status == "running":
            return answer(202, STILL_PROCESSING)
        if status == "failed":
            return answer(500, {"detail": "Failed to get result: Job not found"})
        return answer(200, speech_wav(), {"content-type": "audio/wav"})

    def _cancel(self, request: httpx.Request) -> httpx.Response:
        job_id = json.loads(request.content)["job_id"]
        self.jobs[job_id] = "failed"
        return answer(200, {"job_id": job_id, "status": "cancelled"})

    def _design(self, request: httpx.Request) -> httpx.Response:
        if self._designs_fast or str(request.url) in self.designed:
            return answer(200, speech_wav(), {"content-type": "audio/wav"})
        if request.method == "POST" and request.url.query:
            return answer(400, BAD_METHOD)
        return see_other(f"{DESIGN_URL}?{HANDLE_QUERY}")


def _job_id(request: httpx.Request) -> str:
    return parse_qs(urlsplit(str(request.url)).query)["job_id"][0]


def provider_over(transport: httpx.AsyncBaseTransport, *, can_cancel: bool = True) -> ModalProvider:
    """A provider with every endpoint and a proxy token, speaking through ``transport``."""
    return ModalProvider(
        submit_url=SUBMIT_URL,
        status_url=STATUS_URL,
        result_url=RESULT_URL,
        cancel_url=CANCEL_URL if can_cancel else None,
        design_url=DESIGN_URL,
        key=KEY,
        secret=SECRET,
        transport=transport,
    )
