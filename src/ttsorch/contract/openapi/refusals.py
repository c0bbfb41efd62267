"""Refusals that more than one route has."""

from dataclasses import replace

from ttsorch.contract.openapi.vocabulary import Refusal
from ttsorch.errors import Category

_UNAVAILABLE = Category.PROVIDER_UNAVAILABLE

INVALID_JSON = Refusal(400, "invalid_json", "Invalid JSON body")
TASK_NOT_FOUND = Refusal(404, "task_not_found", "Task not found.")
GENERATION_NOT_FOUND = Refusal(404, "generation_not_found", "Generation not found.")
VOICE_NOT_FOUND = Refusal(404, "voice_not_found", "Voice not found.")
INVALID_KEY = Refusal(403, "invalid_blob_key", "Invalid storage object key.")
UNSPEAKABLE = Refusal(400, "text_encoding", "Text contains characters that cannot be spoken.")
LANGUAGE_UNSUPPORTED = Refusal(
    400,
    "language_unsupported",
    "This language is not supported. Supported: {}.",
    ("English, Chinese, German",),
)
KEY_MALFORMED = Refusal(
    400,
    "idempotency_key_invalid",
    "Idempotency-Key must be 1 to 128 characters of A-Z, a-z, 0-9, '.', '_', '~' or '-'.",
)
KEY_REUSED = Refusal(
    409,
    "idempotency_conflict",
    "This Idempotency-Key was already used with a different request.",
)
ANOTHER_ACTIVE = Refusal(
    409,
    "active_job_limit",
    "A generation is already in progress. Please wait for it to finish before starting another.",
)

PROVIDER_BUSY = Refusal(
    429,
    "provider_busy",
    "The speech service is busy. Please try again in a moment.",
    category=_UNAVAILABLE,
)

#: What may keep a new job from being taken in.
LIMITS = (
    ANOTHER_ACTIVE,
    Refusal(
        429,
        "submit_rate_limit",
        "Too many requests in a short time. Please try again in a moment.",
    ),
    PROVIDER_BUSY,
)

#: What every route that asks for a token may answer first of all (C3).
UNAUTHENTICATED = (
    Refusal(401, "authorization_missing", "Missing authorization header"),
    Refusal(401, "token_invalid", "Invalid or expired token"),
)
#: What every route may answer.
NOTHING_HERE = Refusal(404, "unknown_path", "There is nothing at this address.")
WRONG_METHOD = Refusal(405, "method_not_allowed", "Method not allowed.")
_WRONG_MODE = Refusal(
    500,
    "provider_unknown",
    "Invalid TTS_PROVIDER_MODE: {}. Expected one of: {}",
    ("speech", "local, modal, qwen"),
)
BROKEN = (
    Refusal(
        500,
        "internal_error",
        "Something went wrong on the server. Please try again.",
        category=_UNAVAILABLE,
    ),
    _WRONG_MODE,
    # As a host says it that chooses among providers of its own.
    replace(_WRONG_MODE, code="configuration"),
)
UNAVAILABLE = (
    Refusal(
        503,
        "storage_unavailable",
        "Storage is temporarily unavailable. Please try again.",
        category=_UNAVAILABLE,
    ),
    Refusal(
        503,
        "provider_unavailable",
        "Provider is temporarily unavailable. Please try again.",
        category=_UNAVAILABLE,
    ),
)
#: What every route that takes a body may answer.
TOO_SLOW = Refusal(408, "body_timeout", "Request body was not received in time.")
TOO_LARGE = Refusal(413, "body_too_large", "Request body is too large.")

# --- of making a voice --------------------------------------------------------------------------------

NAME_INVALID = Refusal(400, "name_invalid", "Name must be 1-100 characters.")
LANGUAGE_REQUIRED = Refusal(400, "language_invalid", "Language is required.")
TRANSCRIPT_REQUIRED = Refusal(400, "transcript_invalid", "Transcript is required.")
PREVIEW_TEXT = (
    Refusal(400, "text_invalid", "Preview text is required."),
    Refusal(400, "text_invalid", "Preview text must be 500 characters or less."),
)
VOICE_DESCRIPTION = (
    Refusal(400, "instruct_invalid", "Voice description is required."),
    Refusal(400, "instruct_invalid", "Voice description must be 500 characters or less."),
)
CANNOT_CLONE = Refusal(
    409, "cloning_unsupported", "The provider '{}' does not support voice cloning.", ("local",)
)
CANNOT_DESIGN = Refusal(
    409, "design_unsupported", "The provider '{}' does not support voice design.", ("local",)
)
NO_ROOM = Refusal(
    409, "voices_not_kept", "Voices can't be made here: there is no store to keep them in."
)
RECORDING_TOO_LARGE = Refusal(400, "clip_too_large", "Reference audio must be under 10MB.")
#: What is found out about a recording when a voice is made of it.
RECORDING = (
    RECORDING_TOO_LARGE,
    Refusal(400, "clip_not_audio", "The uploaded file is not audio."),
    Refusal(400, "clip_format", "The provider takes recordings as {} only.", ("wav, mp3, m4a",)),
)
#: What a provider may say to the call that makes a voice; the sentence of the first one is its own.
MAKING = (
    PROVIDER_BUSY,
    Refusal(400, "provider_invalid_request", "The provider could not accept this request."),
    Refusal(
        502,
        "provider_rejected",
        "The provider rejected the request.",
        category=Category.PROVIDER_REJECTED,
    ),
    Refusal(
        503,
        "voice_in_progress",
        "The voice is still being made. Please try again in a moment.",
        category=_UNAVAILABLE,
    ),
    Refusal(
        504,
        "provider_timeout",
        "Provider request timed out. Please try again.",
        category=Category.TIMEOUT,
    ),
)
LINK = (
    Refusal(403, "link_invalid", "This link is not valid."),
    Refusal(403, "link_expired", "This link has expired."),
)
