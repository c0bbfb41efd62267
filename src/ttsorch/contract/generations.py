"""The history and its audio (R7 to R10)."""

import logging
from urllib.parse import quote

from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.failures import missing
from ttsorch.contract.filenames import download_name
from ttsorch.contract.links import check_key, is_stored, media_link, redirect
from ttsorch.contract.paging import pagination
from ttsorch.contract.query import known_id, page_number, per_page, search
from ttsorch.contract.routing import Call
from ttsorch.contract.statuses import HISTORY_FILTERS, speech_status
from ttsorch.contract.wire import (
    DoneResponse,
    GenerationItem,
    GenerationsResponse,
    RegenerateResponse,
)
from ttsorch.errors import NotFound, ValidationError
from ttsorch.models import Generation, Page

logger = logging.getLogger("ttsorch.contract")

#: What JavaScript's ``encodeURIComponent`` leaves alone, beside letters and digits.
_COMPONENT_SAFE = "-_.!~*'()"


def audio_path(generation_id: str) -> str:
    """Where a generation's audio always is, for its owner."""
    return f"/api/generations/{generation_id}/audio"


async def listing(call: Call) -> HttpResponse:
    """R7."""
    page = await _history(call)
    return GenerationsResponse(
        generations=tuple(_item(generation) for generation in page.items),
        pagination=pagination(page),
    ).response()


async def audio(call: Call) -> HttpResponse:
    """R8. With ``download=1`` (additive) the signed URL gives a file with a readable name."""
    generation = await _generation(call, "Generation not found.")
    if generation.audio is None:
        raise _no_audio()
    key = generation.audio.key
    check_key(call, key)
    if not await is_stored(call, key):
        logger.warning("the audio of generation %s is missing from the blob store", generation.id)
        raise _no_audio()
    return redirect(await media_link(call, key, name=_download_name(call, generation, key)))


async def delete(call: Call) -> HttpResponse:
    """R9."""
    with missing("Generation not found.", "generation_not_found"):
        await call.orchestrator.delete_generation(known_id(call.params["id"]), owner=call.owner)
    return DoneResponse(ok=True).response()


async def regenerate(call: Call) -> HttpResponse:
    """R10: where a client goes to say it again. Starts no job."""
    generation = await _generation(call, "Generation not found")
    if not generation.voice_id:
        raise ValidationError("Generation has no voice_id.", code="voice_missing")
    fields = {
        "voice": generation.voice_id,
        "text": generation.text,
        "language": generation.language,
    }
    query = "&".join(
        f"{name}={quote(value, safe=_COMPONENT_SAFE)}" for name, value in fields.items()
    )
    return RegenerateResponse(
        voice_id=generation.voice_id,
        text=generation.text,
        language=generation.language,
        redirect_url=f"/generate?{query}",
    ).response()


async def _history(call: Call) -> Page[Generation]:
    page, size = page_number(call.query), per_page(call.query)
    wanted = call.query.get("status", "").strip()
    if wanted not in HISTORY_FILTERS:
        return Page(items=(), page=page, per_page=size, total=0)
    return await call.orchestrator.tasks.list_generations(
        call.owner,
        page=page,
        per_page=size,
        search=search(call.query),
        status=HISTORY_FILTERS[wanted],
    )


async def _generation(call: Call, detail: str) -> Generation:
    with missing(detail, "generation_not_found"):
        return await call.orchestrator.get_generation(known_id(call.params["id"]), owner=call.owner)


def _no_audio() -> NotFound:
    return NotFound("Generation audio not available.", code="audio_not_available")


def _download_name(call: Call, generation: Generation, key: str) -> str | None:
    if call.query.get("download") != "1":
        return None
    return download_name(generation.text, key.rpartition(".")[2])


def _item(generation: Generation) -> GenerationItem:
    return GenerationItem(
        id=generation.id,
        voice_id=generation.voice_id,
        voice_name=generation.voice_name,
        text=generation.text,
        audio_path=audio_path(generation.id),
        duration_seconds=generation.audio.duration if generation.audio else None,
        language=generation.language,
        status=speech_status(generation.status),
        generation_time_seconds=generation.generation_time_seconds,
        error_message=generation.error_message,
        created_at=generation.created_at,
    )
