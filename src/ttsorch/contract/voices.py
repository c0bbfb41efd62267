"""Voices to choose from, to hear, and to let go (R11, R12, R13)."""

import logging
from collections.abc import Sequence

from ttsorch.contract.exchange import HttpResponse
from ttsorch.contract.failures import missing
from ttsorch.contract.links import check_key, is_stored, media_link, redirect
from ttsorch.contract.paging import pagination
from ttsorch.contract.query import known_id, page_number, per_page, search
from ttsorch.contract.routing import Call
from ttsorch.contract.wire import DoneResponse, VoiceItem, VoicesResponse
from ttsorch.errors import NotFound, ValidationError
from ttsorch.models import Page, Voice, VoiceSource

logger = logging.getLogger("ttsorch.contract")

_SOURCES = {source.value: source for source in (VoiceSource.UPLOADED, VoiceSource.DESIGNED)}


async def listing(call: Call) -> HttpResponse:
    """R11: the owner's own voices, newest first, and after the last of them the built-in ones."""
    own = await _own(call)
    builtin = await _builtin(call)
    before = (own.page - 1) * own.per_page
    start, end = (max(0, edge - own.total) for edge in (before, before + own.per_page))
    page = Page(
        items=(*own.items, *builtin[start:end]),
        page=own.page,
        per_page=own.per_page,
        total=own.total + len(builtin),
    )
    return VoicesResponse(
        voices=tuple(_item(voice) for voice in page.items), pagination=pagination(page)
    ).response()


async def preview(call: Call) -> HttpResponse:
    """R12: the recording that the voice was made from, or the preview of its design."""
    with missing("Voice not found.", "voice_not_found"):
        voice = await call.orchestrator.find_voice(known_id(call.params["id"]), owner=call.owner)
    key = voice.reference_audio_key
    if key is None:
        raise _no_recording()
    check_key(call, key)
    if not await is_stored(call, key):
        logger.warning("the recording of voice %s is missing from the blob store", voice.id)
        raise _no_recording()
    return redirect(await media_link(call, key))


async def delete(call: Call) -> HttpResponse:
    """R13. Repeatable; what is kept is kept, and the history still names the voice."""
    with missing("Voice not found.", "voice_not_found"):
        voice_id = known_id(call.params["id"])
        if any(voice.id == voice_id for voice in await call.orchestrator.builtin_voices()):
            raise ValidationError("Built-in voices cannot be deleted.", code="voice_builtin")
        await call.orchestrator.delete_voice(voice_id, owner=call.owner)
    return DoneResponse(ok=True).response()


def _no_recording() -> NotFound:
    return NotFound("Voice has no reference audio.", code="voice_audio_missing")


async def _own(call: Call) -> Page[Voice]:
    page, size = page_number(call.query), per_page(call.query)
    if call.orchestrator.voices is None:
        return Page(items=(), page=page, per_page=size, total=0)
    return await call.orchestrator.voices.list_voices(
        call.owner,
        page=page,
        per_page=size,
        search=search(call.query),
        source=_SOURCES.get(call.query.get("source", "")),
    )


async def _builtin(call: Call) -> Sequence[Voice]:
    if call.query.get("source", "") in _SOURCES:
        return ()
    wanted = search(call.query).casefold()
    voices = await call.orchestrator.builtin_voices()
    return [voice for voice in voices if wanted in voice.name.casefold()]


def _item(voice: Voice) -> VoiceItem:
    return VoiceItem(
        id=voice.id,
        name=voice.name,
        reference_transcript=voice.reference_transcript,
        language=voice.language,
        source=voice.source,
        description=voice.description,
        created_at=voice.created_at,
        tts_provider=voice.tts_provider,
        provider_voice_id=voice.provider_voice_id,
        provider_target_model=voice.provider_target_model,
        provider_voice_kind=voice.provider_voice_kind,
    )
