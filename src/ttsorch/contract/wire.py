"""The JSON of the v1 contract, body by body. Keys are the contract's; none is ever renamed.

Every key is sent, null or not, except ``TaskResponse.result``, which is absent until there is one: only
what was set is sent, and only ``result`` may be left unset.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator

from ttsorch.capabilities import is_blank
from ttsorch.contract.exchange import HttpResponse
from ttsorch.errors import Category
from ttsorch.models import Status, TaskKind, VoiceSource


class Body(BaseModel):
    """A body of a response."""

    model_config = ConfigDict(frozen=True)

    def response(self, status: int = 200) -> HttpResponse:
        content = self.model_dump_json(exclude_unset=True).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(content)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        return HttpResponse(status, headers, content)


# --- requests -----------------------------------------------------------------------------------------


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and not is_blank(value) else None


#: A non-string or a blank counts as missing (contract C6). Pydantic's own check of strings is replaced,
#: because it refuses lone surrogates before we can say so in the contract's words.
LenientText = Annotated[str | None, PlainValidator(_text_or_none)]


class GenerateRequest(BaseModel):
    """R3. Unknown keys are ignored: old clients send ``model``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    voice_id: LenientText = None
    text: LenientText = None
    language: LenientText = None


class CloneUploadRequest(BaseModel):
    """R14."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: LenientText = None
    language: LenientText = None
    transcript: LenientText = None


class CloneFinalizeRequest(CloneUploadRequest):
    """R15. ``description`` is what v1 clients may send beside the row's own fields."""

    voice_id: LenientText = None
    description: LenientText = None


class DesignPreviewRequest(BaseModel):
    """R16. ``instruct`` says how the voice should sound."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: LenientText = None
    language: LenientText = None
    instruct: LenientText = None
    name: LenientText = None


# --- responses ----------------------------------------------------------------------------------------


class ErrorResponse(Body):
    """C2. ``detail`` is one human sentence; the rest is additive. ``retry_after_seconds`` is there when it
    makes sense to come back, and says what the header ``Retry-After`` does."""

    detail: str
    code: str
    category: Category
    request_id: str
    retry_after_seconds: int | None = None


class HealthResponse(Body):
    """R1."""

    ok: Literal[True]


class DoneResponse(Body):
    """R6, R9, R13, and an upload."""

    ok: Literal[True]


class CapabilitiesBlock(Body):
    """What a client may offer its user. All ``..._chars`` count UTF-16 code units.

    Additive, below the first block: whether voices can be made of a recording (R14, R15) and of a
    description (R16, R17), and the rules of their forms. ``clip_formats`` are the extensions of the
    recordings that are taken.
    """

    supports_generate: bool
    supports_generate_stream: bool
    default_generate_mode: str
    allow_generate_mode_toggle: bool
    max_text_chars: int

    supports_clone: bool
    supports_design: bool
    max_voice_name_chars: int
    max_design_chars: int
    max_clip_bytes: int
    clip_formats: tuple[str, ...]


class LanguagesResponse(Body):
    """R2."""

    languages: tuple[str, ...]
    default: str
    provider: str
    capabilities: CapabilitiesBlock


class GenerateResponse(Body):
    """R3."""

    task_id: str
    status: Literal["processing"]
    is_long_running: Literal[True]
    estimated_duration_minutes: float
    generation_id: str | None


class AudioResult(Body):
    """For speech ``audio_url`` is stable, needs the owner's token, and redirects to a signed URL; for the
    preview of a voice it is the signed URL itself (R16)."""

    audio_url: str


class TaskResponse(Body):
    """R4, and A2 below the first block. ``progress`` runs from 0 to 1."""

    id: str
    type: TaskKind
    status: Status
    result: AudioResult | None = None
    error: str | None
    provider: str
    provider_status: str
    provider_poll_count: int
    modal_status: str | None
    modal_elapsed_seconds: float | None
    modal_poll_count: int

    created_at: datetime
    completed_at: datetime | None
    generation_id: str | None
    voice_name: str
    text_preview: str | None
    language: str | None
    estimated_duration_minutes: float
    supports_cancel: bool
    progress: float | None
    poll_after_ms: int | None
    error_code: str | None
    error_category: Category | None


class TasksResponse(Body):
    """A1. ``next_before`` is the ``before`` of the next page, null on the last one."""

    tasks: tuple[TaskResponse, ...]
    status: str
    type: TaskKind | None
    limit: int
    next_before: str | None


class CancelResponse(Body):
    """R5."""

    cancelled: Literal[True]
    task_id: str


class Pagination(Body):
    """C8."""

    page: int
    per_page: int
    total: int
    pages: int


class GenerationItem(Body):
    """One line of R7."""

    id: str
    voice_id: str
    voice_name: str
    text: str
    audio_path: str
    duration_seconds: float | None
    language: str
    status: Status
    generation_time_seconds: float | None
    error_message: str | None
    created_at: datetime


class GenerationsResponse(Body):
    """R7."""

    generations: tuple[GenerationItem, ...]
    pagination: Pagination


class RegenerateResponse(Body):
    """R10."""

    voice_id: str
    text: str
    language: str
    redirect_url: str


class VoiceItem(Body):
    """One line of R11; ``created_at`` is null for a built-in voice."""

    id: str
    name: str
    reference_transcript: str | None
    language: str
    source: VoiceSource
    description: str | None
    created_at: datetime | None
    tts_provider: str
    provider_voice_id: str | None
    provider_target_model: str | None
    provider_voice_kind: str | None


class VoicesResponse(Body):
    """R11."""

    voices: tuple[VoiceItem, ...]
    pagination: Pagination


class UploadUrlResponse(Body):
    """R14. ``upload_url`` takes one PUT within an hour."""

    voice_id: str
    upload_url: str
    object_key: str


class CloneResponse(Body):
    """R15."""

    id: str
    name: str


class DesignPreviewResponse(Body):
    """R16."""

    task_id: str
    status: Literal["pending"]


class DesignResponse(Body):
    """R17. ``preview_url`` is a signed URL."""

    id: str
    name: str
    description: str | None
    language: str
    source: Literal["designed"]
    preview_url: str | None
