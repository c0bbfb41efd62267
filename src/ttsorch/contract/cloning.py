"""A voice from a recording: a link to upload to, then the voice (R14, R15)."""

import uuid

from ttsorch.contract import fields
from ttsorch.contract.bodies import read_json_object
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.query import canonical_id
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import (
    CloneFinalizeRequest,
    CloneResponse,
    CloneUploadRequest,
    UploadUrlResponse,
)
from ttsorch.errors import ValidationError


async def upload_url(call: Call) -> HttpResponse:
    """R14. Writes nothing: an id, and a link under which one recording for it may be put."""
    body = CloneUploadRequest.model_validate(await read_json_object(call.request))
    fields.voice_name(body.name)
    fields.language(body.language)
    fields.transcript(body.transcript)
    voice_id = str(uuid.uuid4())
    key = call.orchestrator.clip_key(voice_id, owner=call.owner)
    link = call.signer.upload_path(key, now=call.orchestrator.now())
    return UploadUrlResponse(
        voice_id=voice_id,
        upload_url=call.origin + call.request.root + link,
        object_key=key,
    ).response()


async def finalize(call: Call) -> HttpResponse:
    """R15. One paid call at most, if the provider keeps voices of its own."""
    body = CloneFinalizeRequest.model_validate(await read_json_object(call.request))
    if body.voice_id is None:
        raise ValidationError("voice_id is required.", code="voice_id_required", field="voice_id")
    name = fields.voice_name(body.name)
    language = fields.language(body.language)
    transcript = fields.transcript(body.transcript)
    voice_id = canonical_id(body.voice_id.strip())
    if voice_id is None:
        # Nobody was ever given a link for it.
        raise ValidationError("Audio file not uploaded.", code="clip_missing", field="voice_id")
    voice = await call.orchestrator.clone_voice(
        voice_id,
        name=name,
        language=language,
        transcript=transcript,
        description=fields.optional(body.description),
        owner=call.owner,
    )
    return CloneResponse(id=voice.id, name=voice.name).response()
