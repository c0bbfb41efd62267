"""The five handlers of the app on Modal, each as its deployed code answers."""

from dataclasses import dataclass, field
from types import MappingProxyType

from ttsorch.models import JsonValue
from ttsorch.testing._modal.bodies import LANGUAGES, job_id_of, json_object, refusal, required
from ttsorch.testing._modal.jobs import CallState, ModalJob, new_call_id
from ttsorch.testing._modal.switches import ModalSwitches
from ttsorch.testing.speakers import Speaker
from ttsorch.testing.vendor_exchange import VendorReply, VendorRequest
from ttsorch.testing.vendor_ledger import VendorLedger

#: In characters, for the text and for the instruction alike.
_MAX_DESIGN = 500


@dataclass
class ModalApps:
    """What the five handlers share: the jobs, the bill and the switches."""

    speak: Speaker
    checks_until_done: int | None
    switches: ModalSwitches
    ledger: VendorLedger = field(default_factory=VendorLedger)
    jobs: dict[str, ModalJob] = field(default_factory=dict)

    async def submit(self, request: VendorRequest) -> VendorReply:
        """Spawn a job. The language isn't looked at here, only by the worker."""
        self.ledger.submits += 1
        body = json_object(request)
        text, clip, ref_text = (required(body, name) for name in _SUBMIT_FIELDS)
        if self.switches.submit_500_text is not None:
            return VendorReply.of_text(self.switches.submit_500_text, 500)
        job = ModalJob(
            id=new_call_id(),
            text=text,
            language=str(body.get("language", "Auto")),
            ref_audio_base64=clip,
            ref_text=ref_text,
            max_new_tokens=body.get("max_new_tokens", 2048),
            checks_left=self.checks_until_done,
        )
        self.jobs[job.id] = job
        self.ledger.accept(job.id, text)
        named: dict[str, JsonValue] = {} if self.switches.missing_job_id else {"job_id": job.id}
        return VendorReply.of_json({**named, "status": "submitted", "text_length": len(text)})

    async def status(self, request: VendorRequest) -> VendorReply:
        """How a job is doing: 200 for any id that isn't empty."""
        job_id = job_id_of(request)
        self.ledger.checks[job_id] += 1
        job = self.jobs.get(job_id)
        if job is not None:
            job.count_check()
            await job.settle(self.speak)
        elif self.switches.old_spellings:
            return VendorReply.of_json({"error": "Unknown job"}, 404)
        word, error = self._word_and_error(job)
        shown_id = new_call_id() if self.switches.wrong_job_id else job_id
        payload: dict[str, JsonValue] = {
            "job_id": shown_id,
            "status": word,
            "result_ready": word == "completed",
        }
        if word == "failed":
            payload["error"] = "" if self.switches.failed_with_empty_error else error
        if self.switches.old_spellings and job is not None:
            payload["elapsed_seconds"] = job.checks
        return VendorReply.of_json(payload)

    def _word_and_error(self, job: ModalJob | None) -> tuple[str, str]:
        if job is not None and self.switches.use("status_blips"):
            return "failed", "Deadline exceeded while reaching the control plane"
        state = job.state if job is not None else CallState.FAILED
        if state is CallState.RUNNING:
            old = self.switches.old_spellings
            return "processing" if old else self.switches.running_word, ""
        if state is CallState.COMPLETED:
            return "completed", ""
        if state is CallState.CANCELLED and self.switches.old_spellings:
            return "cancelled", ""
        return "failed", _error_of(job)

    async def result(self, request: VendorRequest) -> VendorReply:
        """The audio of a finished job. The real handler waits up to 5 s for one that isn't; this one says
        at once what the real one says then."""
        job_id = job_id_of(request)
        job = self.jobs.get(job_id)
        if job is None and self.switches.old_spellings:
            return VendorReply.of_json({"error": "Unknown job"}, 404)
        if job is not None:
            await job.settle(self.speak)
        if job is None or job.state not in (CallState.RUNNING, CallState.COMPLETED):
            raise refusal(500, f"Failed to get result: {_error_of(job)}")
        if job.state is CallState.RUNNING or self.switches.use("result_202_times"):
            raise refusal(202, "Job still processing")
        if self.switches.use("result_500_after_completed"):
            raise refusal(500, "Failed to get result: the output could not be read")
        self.ledger.results[job_id] += 1
        return _wav(job.audio, "output.wav")

    async def cancel(self, request: VendorRequest) -> VendorReply:
        """Stop a job. A finished one is none the worse for it, and the answer is the same."""
        job_id = required(json_object(request), "job_id")
        self.ledger.cancels.append(job_id)
        job = self.jobs.get(job_id)
        if job is None and self.switches.old_spellings:
            return VendorReply.of_json({"error": "Unknown job"}, 404)
        if job is None or self.switches.cancel_fails:
            reason = _error_of(job) or "the call could not be reached"
            raise refusal(500, f"Failed to cancel: {reason}")
        if job.state is CallState.RUNNING and not self.switches.cancel_ignored:
            job.state, job.error = CallState.CANCELLED, "Function call was cancelled"
        if self.switches.old_spellings:
            return VendorReply.of_json({"cancelled": True})
        return VendorReply.of_json({"job_id": job_id, "status": "cancelled"})

    async def design(self, request: VendorRequest) -> VendorReply:
        """A voice from a description, heard saying the text."""
        self.ledger.submits += 1
        body = json_object(request)
        text, _ = (_short(body, name) for name in ("text", "instruct"))
        if body.get("language", "English") not in LANGUAGES:
            raise refusal(400, f"Unsupported language. Supported: {list(LANGUAGES)}")
        self.ledger.accept(new_call_id(), text, "design")
        try:
            return _wav(await self.speak(text), "designed_voice.wav")
        except Exception as error:  # noqa: BLE001  # the handler catches whatever the model raised
            reason = str(error)
        raise refusal(500, f"Voice design failed: {reason}")


_SUBMIT_FIELDS = ("text", "ref_audio_base64", "ref_text")


def _error_of(job: ModalJob | None) -> str:
    return "No such function call" if job is None else job.error


def _short(body: dict[str, object], name: str) -> str:
    value = required(body, name)
    if len(value) > _MAX_DESIGN:
        raise refusal(400, f"'{name}' must be at most {_MAX_DESIGN} characters")
    return value


def _wav(audio: bytes, filename: str) -> VendorReply:
    disposition = {"content-disposition": f"attachment; filename={filename}"}
    return VendorReply(200, audio, "audio/wav", MappingProxyType(disposition))
