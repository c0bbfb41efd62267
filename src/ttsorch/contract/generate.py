"""POST /api/generate (R3): the checks in the contract's order, then one submit."""

from decimal import ROUND_HALF_UP, Decimal

from ttsorch.capabilities import canonical_language, check_idempotency_key, check_text
from ttsorch.contract.bodies import read_json_object
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.failures import missing
from ttsorch.contract.query import canonical_id
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import GenerateRequest, GenerateResponse
from ttsorch.errors import TtsorchError, ValidationError
from ttsorch.models import ErrorInfo, Job, SpeechRequest, Status, Task

_CHARACTERS_PER_MINUTE = 375
_DEFAULT_LANGUAGE = "Auto"


class SubmitRefused(TtsorchError):
    """The provider refused the job, or could not be reached; nothing runs there. ``category`` and ``code``
    say which it was."""

    default_message = "Failed to submit generation job."
    http_status = 502

    def __init__(self, cause: ErrorInfo) -> None:
        super().__init__(code=cause.code, detail=cause.detail, retry_after=cause.retry_after)
        self.category = cause.category


async def generate(call: Call) -> HttpResponse:
    """Section 3 of the contract, from the body on. What depends on the voice and the provider is checked
    by ``submit``, which writes nothing before it has."""
    body = GenerateRequest.model_validate(await read_json_object(call.request))
    key = _idempotency_key(call)
    voice_id = _voice_id(body.voice_id)
    text = _text(body.text)
    language = _language(call, body.language)
    if key is not None and (earlier := await _earlier(call, key, voice_id, text, language)):
        return _answer(call, earlier)
    check_text(text, call.orchestrator.provider.capabilities.max_text_chars)
    with missing("Voice not found", "voice_not_found"):
        voice = await call.orchestrator.find_voice(voice_id, owner=call.owner)
    job = await call.orchestrator.submit(
        SpeechRequest(text=text, voice=voice, language=language),
        owner=call.owner,
        idempotency_key=key,
    )
    return _answer(call, job)


def estimated_minutes(characters: int) -> float:
    """How long the speech may take to make, for a progress bar. Rounded half up, as people round."""
    minutes = Decimal(characters) / _CHARACTERS_PER_MINUTE
    return max(0.1, float(minutes.quantize(Decimal("0.1"), ROUND_HALF_UP)))


def _idempotency_key(call: Call) -> str | None:
    key = call.request.headers.get("idempotency-key")
    if key is not None:
        check_idempotency_key(key)
    return key


def _voice_id(raw: str | None) -> str:
    if raw is None:
        raise ValidationError("Please select a voice", code="voice_required", field="voice_id")
    found = canonical_id(raw)
    if found is None:
        raise ValidationError("Invalid voice_id", code="voice_id_invalid", field="voice_id")
    return found


def _text(raw: str | None) -> str:
    if raw is None:
        raise ValidationError("Please enter text to speak", code="text_required", field="text")
    return raw


def _language(call: Call, raw: str | None) -> str:
    offered = call.orchestrator.provider.capabilities.languages
    return canonical_language(raw or _DEFAULT_LANGUAGE, offered)


async def _earlier(call: Call, key: str, voice_id: str, text: str, language: str) -> Job | None:
    """What the first request with this key made. Asked for before anything that may have changed since: a
    voice that was deleted, a provider that was switched."""
    return await call.orchestrator.find_submitted(
        key, text=text, voice_id=voice_id, language=language, owner=call.owner
    )


def _answer(call: Call, job: Job) -> HttpResponse:
    task = job.task
    refusal = _refusal(call, task)
    if refusal is not None:
        raise SubmitRefused(refusal)
    return GenerateResponse(
        task_id=task.id,
        # The first answer never says more: v1 clients poll from here on.
        status="processing",
        is_long_running=True,
        estimated_duration_minutes=estimated_minutes(task.characters),
        generation_id=task.generation_id,
    ).response()


def _refusal(call: Call, task: Task) -> ErrorInfo | None:
    """Why the one submit of a job provider's task came back with a definite no, if it did. A task that
    failed later had a good first answer, which a repeated Idempotency-Key must get again."""
    was_taken = task.ticket is not None or task.receipt is not None or task.outcome_open
    if task.status is not Status.FAILED or was_taken or task.attempts != 1:
        return None
    # Of the provider that has the task: another one may be active by now. A direct one is only asked after
    # the first answer; so may have been one that nobody knows here any more.
    provider = call.orchestrator.providers.get(task.provider)
    return None if provider is None or provider.capabilities.direct else task.error
