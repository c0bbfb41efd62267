"""A voice from a description: a preview to hear, then the voice (R16, R17)."""

from ttsorch.capabilities import check_idempotency_key
from ttsorch.contract import fields
from ttsorch.contract.bodies import read_json_object
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.links import absolute_link
from ttsorch.contract.multipart import Form, read_form
from ttsorch.contract.query import known_id
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import DesignPreviewRequest, DesignPreviewResponse, DesignResponse
from ttsorch.errors import NotFound, ValidationError
from ttsorch.models import Voice


async def preview(call: Call) -> HttpResponse:
    """R16. The first answer is always ``pending``; polls take it from there."""
    body = DesignPreviewRequest.model_validate(await read_json_object(call.request))
    key = call.request.headers.get("idempotency-key")
    if key is not None:
        check_idempotency_key(key)
    job = await call.orchestrator.preview_design(
        text=fields.preview_text(body.text),
        language=fields.language(body.language),
        description=fields.description(body.instruct),
        name=None if fields.optional(body.name) is None else fields.voice_name(body.name),
        owner=call.owner,
        idempotency_key=key,
    )
    return DesignPreviewResponse(task_id=job.task.id, status="pending").response()


async def save(call: Call) -> HttpResponse:
    """R17. With the preview's task it costs nothing more; with its audio alone, which is how a v1 client
    that forgot the task saves, the voice is made from that as from a recording."""
    form = await read_form(call.request)
    name = fields.voice_name(form.fields.get("name"))
    text = fields.preview_text(form.fields.get("text"))
    language = fields.language(form.fields.get("language"))
    description = fields.description(form.fields.get("instruct"))
    task_id = fields.optional(form.fields.get("task_id"))
    if task_id is not None:
        voice = await _of_preview(call, task_id, name)
    else:
        voice = await call.orchestrator.adopt_design(
            _audio(form),
            name=name,
            text=text,
            language=language,
            description=description,
            owner=call.owner,
        )
    return DesignResponse(
        id=voice.id,
        name=voice.name,
        description=voice.description,
        language=voice.language,
        source="designed",
        preview_url=await _preview_url(call, voice),
    ).response()


async def _of_preview(call: Call, task_id: str, name: str) -> Voice:
    try:
        return await call.orchestrator.save_design(known_id(task_id), name=name, owner=call.owner)
    except NotFound as error:
        raise NotFound(
            "Voice not found." if error.code == "voice_not_found" else "Preview task not found.",
            code=error.code if error.code == "voice_not_found" else "task_not_found",
        ) from None


def _audio(form: Form) -> bytes:
    audio = form.files.get("audio")
    if audio is None:
        raise ValidationError("Audio file is required.", code="audio_required", field="audio")
    if not audio:
        raise ValidationError("Audio file is empty.", code="audio_empty", field="audio")
    return audio


async def _preview_url(call: Call, voice: Voice) -> str | None:
    if voice.reference_audio_key is None:
        return None
    return await absolute_link(call, voice.reference_audio_key)
