"""What is sent to a Modal deployment. Pure: a request of ours in, an HTTP request out."""

import base64

import httpx

from ttsorch._http import get_request, post_request
from ttsorch.capabilities import canonical_language
from ttsorch.errors import ValidationError
from ttsorch.models import JsonValue, SpeechRequest, Voice
from ttsorch.providers._modal.settings import (
    FEWEST_TOKENS,
    LANGUAGES,
    MOST_TOKENS,
    ModalSettings,
)

_TOKENS_OPTION = "max_new_tokens"
_ANY_LANGUAGE = "Auto"


def check_expressible(request: SpeechRequest) -> None:
    """Refuse what the endpoints have no way to take. Each request carries its voice: a recording and the
    words spoken in it. A recording not yet read from the blob store counts by its key.

    Raises:
        ValidationError: ``voice_transcript_missing``, ``voice_audio_missing`` (contract section 3, Modal),
            ``param_unknown`` or ``param_invalid``.
    """
    if not (request.voice.reference_transcript or "").strip():
        raise ValidationError(
            "This voice has no reference transcript. Re-clone with a transcript to use Qwen3-TTS.",
            code="voice_transcript_missing",
            field="voice_id",
        )
    if request.clip is None and request.voice.reference_audio_key is None:
        raise _audio_missing()
    for option in request.options:
        if option != _TOKENS_OPTION:
            raise ValidationError(
                f"Unknown option '{option:.40}'. Expected one of: {_TOKENS_OPTION}.",
                code="param_unknown",
                field=option,
            )
    _tokens(request, FEWEST_TOKENS)


def build_submit(
    settings: ModalSettings, request: SpeechRequest, *, max_new_tokens: int
) -> httpx.Request:
    """The POST that starts a job, and that costs money. ``max_new_tokens`` is for a request without one.

    Raises:
        ValidationError: the clip isn't there, or as for :func:`check_expressible`.
    """
    if request.clip is None:
        raise _audio_missing()
    return post_request(
        settings.submit_url,
        {
            "text": request.text,
            # It isn't looked at before the job runs, and the worker knows one spelling.
            "language": canonical_language(request.language, LANGUAGES),
            "ref_audio_base64": base64.b64encode(request.clip.data).decode("ascii"),
            "ref_text": request.voice.reference_transcript,
            "max_new_tokens": _tokens(request, max_new_tokens),
        },
        headers=settings.headers,
    )


def build_status(settings: ModalSettings, job_id: str) -> httpx.Request:
    return get_request(settings.status_url, headers=settings.headers, params={"job_id": job_id})


def build_result_url(settings: ModalSettings, job_id: str) -> str:
    return str(get_request(settings.result_url, params={"job_id": job_id}).url)


def build_cancel(settings: ModalSettings, cancel_url: str, job_id: str) -> httpx.Request:
    return post_request(cancel_url, {"job_id": job_id}, headers=settings.headers)


def build_design(settings: ModalSettings, design_url: str, draft: Voice) -> httpx.Request:
    """The POST that makes a preview. The endpoint knows no "Auto"; left out, the language is its own
    default, English."""
    payload: dict[str, JsonValue] = {
        "text": draft.reference_transcript or "",
        "instruct": draft.description or "",
    }
    if draft.language.casefold() != _ANY_LANGUAGE.casefold():
        payload["language"] = canonical_language(draft.language, LANGUAGES)
    return post_request(design_url, payload, headers=settings.headers)


def build_reread(settings: ModalSettings, url: str) -> httpx.Request:
    """The GET of the URL that Modal keeps an answer under. Only a GET: a POST to it is refused, and so never
    starts the work again (https://modal.com/docs/guide/webhook-timeouts, read November 2026)."""
    return get_request(url, headers=settings.headers)


def _tokens(request: SpeechRequest, default: int) -> int:
    value = request.options.get(_TOKENS_OPTION, default)
    if not isinstance(value, int) or not FEWEST_TOKENS <= value <= MOST_TOKENS:
        raise ValidationError(
            f"{_TOKENS_OPTION} must be a whole number from {FEWEST_TOKENS} to {MOST_TOKENS}.",
            code="param_invalid",
            field=_TOKENS_OPTION,
        )
    return value


def _audio_missing() -> ValidationError:
    return ValidationError(
        "Voice has no reference audio.", code="voice_audio_missing", field="voice_id"
    )
