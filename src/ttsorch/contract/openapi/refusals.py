"""Refusals that more than one route has."""

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

#: What every route that asks for a token may answer first of all (C3).
UNAUTHENTICATED = (
    Refusal(401, "authorization_missing", "Missing authorization header"),
    Refusal(401, "token_invalid", "Invalid or expired token"),
)
#: What every route may answer.
NOTHING_HERE = Refusal(404, "unknown_path", "There is nothing at this address.")
WRONG_METHOD = Refusal(405, "method_not_allowed", "Method not allowed.")
BROKEN = (
    Refusal(
        500,
        "internal_error",
        "Something went wrong on the server. Please try again.",
        category=_UNAVAILABLE,
    ),
    Refusal(
        500,
        "configuration",
        "Invalid TTS_PROVIDER_MODE: {}. Expected one of: {}",
        ("speech", "local, modal, qwen"),
    ),
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
