"""The shapes of the answers' bodies, from the models that make them.

The models' own docstrings are for who reads the code; what a reader of the document is told about them
stands here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pydantic.json_schema import models_json_schema

from ttsorch.contract.openapi.vocabulary import JsonObject
from ttsorch.contract.wire import Body, ErrorResponse

#: As pydantic makes them.
_Schema: TypeAlias = Mapping[str, Any]

PREFIX = "#/components/schemas/"

#: A sentence for each shape.
SHAPES: Mapping[str, str] = {
    "AudioResult": "What a completed task brought.",
    "CancelResponse": "The task is cancelled.",
    "CapabilitiesBlock": "What a client may offer its user.",
    "Category": "What kind of failure it is; these five are all there are.",
    "CloneResponse": "A voice that was made from a recording.",
    "DesignPreviewResponse": "A preview that has begun.",
    "DesignResponse": "A voice that was made from a description.",
    "DoneResponse": "It is done.",
    "ErrorResponse": "Every failure, whatever found it.",
    "GenerateResponse": "A job that has begun.",
    "GenerationItem": "One line of the history.",
    "GenerationsResponse": "A page of the history, newest first.",
    "HealthResponse": "Requests are answered.",
    "LanguagesResponse": "What can be spoken, and what can be done.",
    "Pagination": "Which page this is, of how many; there is always a first one.",
    "RegenerateResponse": "What to fill a form with to say something again.",
    "Status": "The first two are active, the last three final: a task never leaves those.",
    "TaskKind": "What the task makes: speech, the preview of a designed voice, or a voice from a recording.",
    "TaskResponse": "A task. The `modal_*` fields mirror the neutral ones for Modal, and are empty for"
    " other providers.",
    "TasksResponse": "Tasks, newest first.",
    "UploadUrlResponse": "Where to put the recording of a new voice.",
    "VoiceItem": "A voice.",
    "VoiceSource": "Made from a recording, made from a description, or the provider's own.",
    "VoicesResponse": "A page of voices.",
}

#: For fields whose names don't say it all.
FIELDS: Mapping[tuple[str, str], str] = {
    (
        "AudioResult",
        "audio_url",
    ): "Where the audio is: a stable address that needs the owner's token, or a signed URL.",
    ("CapabilitiesBlock", "max_text_chars"): "In UTF-16 code units.",
    ("CapabilitiesBlock", "supports_clone"): "Whether a voice can be made of a recording.",
    ("CapabilitiesBlock", "supports_design"): "Whether a voice can be made of a description.",
    ("CapabilitiesBlock", "max_voice_name_chars"): "In UTF-16 code units.",
    (
        "CapabilitiesBlock",
        "max_design_chars",
    ): "Of a voice's description, and of the text of its preview; in UTF-16 code units.",
    ("CapabilitiesBlock", "max_clip_bytes"): "Of a recording.",
    ("CapabilitiesBlock", "clip_formats"): "Of a recording, as extensions of file names.",
    ("DesignResponse", "preview_url"): "A signed URL of the preview.",
    ("ErrorResponse", "detail"): "One sentence that can be shown to a user.",
    ("ErrorResponse", "code"): "A stable word for programs.",
    ("ErrorResponse", "request_id"): "The same as the header `X-Request-ID`.",
    (
        "ErrorResponse",
        "retry_after_seconds",
    ): "The same as the header `Retry-After`; there with it.",
    ("GenerateResponse", "estimated_duration_minutes"): "For a progress bar.",
    ("GenerationItem", "audio_path"): "The address of its audio, which needs the owner's token.",
    ("GenerationItem", "duration_seconds"): "Read from the audio; null until there is some.",
    ("GenerationItem", "generation_time_seconds"): "From creation to the end.",
    (
        "RegenerateResponse",
        "redirect_url",
    ): "The address of the form on a v1 page, filled with all that.",
    ("TaskResponse", "result"): "Absent until there is one.",
    (
        "TaskResponse",
        "error",
    ): "Why the task ended, or why this poll has no news; null if all is well.",
    (
        "TaskResponse",
        "provider_status",
    ): "The provider's own word, or one that begins with `provider_`.",
    ("TaskResponse", "provider_poll_count"): "How often it was polled while it was active.",
    ("TaskResponse", "modal_elapsed_seconds"): "How long Modal has worked on it.",
    ("TaskResponse", "progress"): "From 0 to 1; null if nobody knows.",
    (
        "TaskResponse",
        "poll_after_ms",
    ): "When another poll is worth while; null for a task that has ended.",
    ("TaskResponse", "text_preview"): "The beginning of the text, on one line.",
    ("TaskResponse", "supports_cancel"): "Whether cancelling it now would make sense.",
    ("TasksResponse", "next_before"): "The `before` of the next page; null on the last one.",
    (
        "UploadUrlResponse",
        "upload_url",
    ): "A signed URL: takes one PUT within an hour, without a token.",
    ("VoiceItem", "created_at"): "Null for a built-in voice.",
}


def response_schemas(bodies: Iterable[type[Body]]) -> JsonObject:
    """The schemas of ``bodies``, of errors, and of all that these are made of, by name."""
    models: set[type[Body]] = {ErrorResponse, *bodies}
    _, made = models_json_schema(
        # As for reading: when writing, pydantic takes what has a default for always there.
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=f"{PREFIX}{{model}}",
    )
    schemas: Mapping[str, _Schema] = made["$defs"]
    return {name: _described(name, schemas[name]) for name in sorted(schemas)}


def _described(name: str, schema: _Schema) -> JsonObject:
    described: JsonObject = {key: value for key, value in schema.items() if key != "title"}
    described["description"] = SHAPES[name]
    if "properties" in schema:
        described["properties"] = {
            field: _field(name, field, of, optional=field not in schema["required"])
            for field, of in schema["properties"].items()
        }
    return described


def _field(shape: str, name: str, schema: _Schema, *, optional: bool) -> JsonObject:
    # What may be left out is left out when there is none; it is never null.
    found = schema["anyOf"][0] if optional else schema
    field: JsonObject = {key: value for key, value in found.items() if key != "title"}
    if (shape, name) in FIELDS:
        field["description"] = FIELDS[shape, name]
    return field
