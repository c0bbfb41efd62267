"""The history and its audio (R7 to R10)."""

import logging
from urllib.parse import quote

from ttsorch._keys import owner_prefix
from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.failures import missing
from ttsorch.contract.filenames import download_name
from ttsorch.contract.paging import pagination
from ttsorch.contract.query import known_id, page_number, per_page, search
from ttsorch.contract.routing import Call
from ttsorch.contract.signing import LINK_LIFETIME
from ttsorch.contract.statuses import HISTORY_FILTERS, speech_status
from ttsorch.contract.wire import (
    DeletedResponse,
    GenerationItem,
    GenerationsResponse,
    RegenerateResponse,
)
from ttsorch.errors import BlobNotFound, NotFound, ValidationError
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
    # Rows may come from elsewhere (an import, a migration); a signed URL opens whatever it names.
    if not key.startswith(f"{owner_prefix(call.owner)}/"):
        raise ValidationError(
            "Invalid storage object key.", code="invalid_blob_key", http_status=403
        )
    await _look(call, generation, key)
    headers = {"location": await _signed_url(call, generation, key), "content-length": "0"}
    return HttpResponse(302, {**headers, "cache-control": "private, no-store"})


async def delete(call: Call) -> HttpResponse:
    """R9."""
    with missing("Generation not found.", "generation_not_found"):
        await call.orchestrator.delete_generation(known_id(call.params["id"]), owner=call.owner)
    return DeletedResponse(ok=True).response()


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


async def _look(call: Call, generation: Generation, key: str) -> None:
    """A player can't show what a link to nothing answers, but a page can show this."""
    try:
        async with call.orchestrator.blobs.open(key):
            pass
    except BlobNotFound:
        logger.warning("the audio of generation %s is missing from the blob store", generation.id)
        raise _no_audio() from None


def _no_audio() -> NotFound:
    return NotFound("Generation audio not available.", code="audio_not_available")


async def _signed_url(call: Call, generation: Generation, key: str) -> str:
    url = await call.orchestrator.blobs.url(key, expires_in=LINK_LIFETIME)
    if url is not None:
        return url
    name = None
    if call.query.get("download") == "1":
        name = download_name(generation.text, key.rpartition(".")[2])
    return call.request.root + call.signer.path(key, now=call.orchestrator.now(), name=name)


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
