"""Making voices: from a recording, or from a description (R14 to R17)."""

from dataclasses import replace

from ttsorch.capabilities import MAX_VOICE_NAME
from ttsorch.contract.fields import MAX_DESIGN_TEXT
from ttsorch.contract.openapi.parameters import IDEMPOTENCY_KEY
from ttsorch.contract.openapi.refusals import (
    CANNOT_CLONE,
    CANNOT_DESIGN,
    INVALID_JSON,
    KEY_MALFORMED,
    KEY_REUSED,
    LANGUAGE_REQUIRED,
    LANGUAGE_UNSUPPORTED,
    LIMITS,
    LINK,
    MAKING,
    NAME_INVALID,
    NO_ROOM,
    PREVIEW_TEXT,
    RECORDING,
    RECORDING_TOO_LARGE,
    TRANSCRIPT_REQUIRED,
    UNSPEAKABLE,
    VOICE_DESCRIPTION,
    VOICE_NOT_FOUND,
)
from ttsorch.contract.openapi.texts import AUDIBLE, audible, optional
from ttsorch.contract.openapi.vocabulary import (
    Answer,
    Field,
    Link,
    Operation,
    Parameter,
    Payload,
    Refusal,
)
from ttsorch.contract.wire import (
    CloneResponse,
    DesignPreviewResponse,
    DesignResponse,
    DoneResponse,
    UploadUrlResponse,
)

_TAG = "voices"
#: In UTF-16 code units.
_MAX_TRANSCRIPT = 10_000
_MAX_DESCRIPTION = 2048

_NAME = Field("name", "How the voice is called.", audible(MAX_VOICE_NAME))
_LANGUAGE = Field("language", "One of those that `GET /api/languages` lists.", AUDIBLE)
_TRANSCRIPT = Field("transcript", "The words of the recording.", audible(_MAX_TRANSCRIPT))
_TEXT = Field("text", "What the preview says.", audible(MAX_DESIGN_TEXT))
_INSTRUCT = Field("instruct", "How the voice should sound.", audible(MAX_DESIGN_TEXT))

_OF_CLONE = (NAME_INVALID, LANGUAGE_REQUIRED, TRANSCRIPT_REQUIRED, UNSPEAKABLE)
_OF_DESIGN = (*PREVIEW_TEXT, *VOICE_DESCRIPTION, LANGUAGE_REQUIRED, NAME_INVALID, UNSPEAKABLE)

_UPLOAD_URL = Operation(
    "createUploadUrl",
    _TAG,
    "Get a place for a recording",
    "The first of three steps: put the recording there, then finish with `POST /api/clone/finalize`.",
    payload=Payload(
        "The same as for the last step.",
        # How long the words may be, the last step finds out.
        (_NAME, _LANGUAGE, replace(_TRANSCRIPT, schema=AUDIBLE)),
        example={"name": "Vera", "language": "English", "transcript": "These are my words."},
    ),
    answers=(
        Answer(
            "The id of the voice to be, and where to put its recording.",
            UploadUrlResponse,
            links=(
                Link(
                    "finalize",
                    "finalizeClone",
                    "Make the voice, once the recording is there.",
                    body={"voice_id": "$response.body#/voice_id"},
                ),
            ),
        ),
    ),
    refusals=(INVALID_JSON, *_OF_CLONE, CANNOT_CLONE, NO_ROOM),
)

_UPLOAD = Operation(
    "putRecording",
    "media",
    "Upload a recording",
    "For who holds the `upload_url` of `POST /api/clone/upload-url`: nobody is asked who they are, and pages"
    " of any origin may send it. Takes any content type; what it is, the last step finds out. Only the first"
    " upload counts.",
    parameters=(
        Parameter(
            "key",
            "path",
            "Names the recording.",
            {"type": "string", "minLength": 1},
            required=True,
        ),
        Parameter("expires", "query", "In seconds since 1970.", {"type": "string"}, required=True),
        Parameter(
            "signature",
            "query",
            "Made for this key and this time.",
            {"type": "string"},
            required=True,
        ),
    ),
    payload=Payload("The recording, up to 10 MiB.", media_types=("*/*",)),
    answers=(Answer("It is there.", DoneResponse),),
    refusals=(
        *LINK,
        RECORDING_TOO_LARGE,
        Refusal(409, "clip_exists", "A recording was uploaded for this voice already."),
    ),
)

_FINALIZE = Operation(
    "finalizeClone",
    _TAG,
    "Make a voice of a recording",
    "The last of three steps. If the provider keeps voices of its own, this is one paid call, made once.",
    payload=Payload(
        "Which recording, and what it is of.",
        (
            Field(
                "voice_id",
                "Of `POST /api/clone/upload-url`.",
                {"type": "string", "format": "uuid"},
            ),
            _NAME,
            _LANGUAGE,
            _TRANSCRIPT,
            Field(
                "description",
                "Anything else about the voice.",
                optional(_MAX_DESCRIPTION),
                required=False,
            ),
        ),
        example={
            "voice_id": "9f86d081-884c-4d63-8a2f-2f1c7b0e5a11",
            "name": "Vera",
            "language": "English",
            "transcript": "These are my words.",
        },
    ),
    answers=(
        Answer(
            "The voice.",
            CloneResponse,
            links=(
                Link(
                    "speak",
                    "generate",
                    "Have it speak.",
                    body={"voice_id": "$response.body#/id"},
                ),
                Link("preview", "getVoicePreview", "The recording.", {"id": "$response.body#/id"}),
                Link("delete", "deleteVoice", "Delete it.", {"id": "$response.body#/id"}),
            ),
        ),
    ),
    refusals=(
        INVALID_JSON,
        Refusal(400, "voice_id_required", "voice_id is required."),
        *_OF_CLONE,
        Refusal(
            400,
            "transcript_too_long",
            "The transcript cannot exceed {} characters",
            (str(_MAX_TRANSCRIPT),),
        ),
        Refusal(
            400,
            "description_too_long",
            "The description cannot exceed {} characters",
            (str(_MAX_DESCRIPTION),),
        ),
        Refusal(400, "clip_missing", "Audio file not uploaded."),
        CANNOT_CLONE,
        NO_ROOM,
        LANGUAGE_UNSUPPORTED,
        Refusal(409, "voice_exists", "This voice exists already."),
        *RECORDING,
        *MAKING,
    ),
)

_PREVIEW = Operation(
    "previewDesign",
    _TAG,
    "Preview a voice that is described",
    "Starts a task of the type `design_preview`. When it is completed, its `result.audio_url` is a signed"
    " URL; `POST /api/voices/design` with the task makes the voice one's own at no further cost.",
    parameters=(IDEMPOTENCY_KEY,),
    payload=Payload(
        "How the voice should sound, and what it says.",
        (
            _TEXT,
            _LANGUAGE,
            _INSTRUCT,
            Field("name", _NAME.description, optional(MAX_VOICE_NAME), required=False),
        ),
        example={"text": "Hear me.", "language": "English", "instruct": "A calm voice."},
    ),
    answers=(
        Answer(
            "The task, which goes on by itself.",
            DesignPreviewResponse,
            links=(
                Link("task", "getTask", "How far it is.", {"id": "$response.body#/task_id"}),
                Link("cancel", "cancelTask", "Stop it.", {"id": "$response.body#/task_id"}),
                Link(
                    "save",
                    "saveDesign",
                    "Keep the voice, once the preview is there.",
                    body={"task_id": "$response.body#/task_id"},
                ),
            ),
        ),
    ),
    refusals=(
        INVALID_JSON,
        KEY_MALFORMED,
        *_OF_DESIGN,
        CANNOT_DESIGN,
        NO_ROOM,
        LANGUAGE_UNSUPPORTED,
        *LIMITS,
        KEY_REUSED,
    ),
)

_SAVE = Operation(
    "saveDesign",
    _TAG,
    "Keep a voice that was described",
    "With the task of its preview, the voice of that preview is kept: nothing is paid again, and saving twice"
    " gives the same voice. Without it, a voice is made of the `audio`, as of a recording.",
    payload=Payload(
        "The preview, by its task or its audio, and what it was made of.",
        (
            _NAME,
            _TEXT,
            _LANGUAGE,
            _INSTRUCT,
            Field(
                "task_id",
                "Of `POST /api/voices/design/preview`.",
                AUDIBLE,
                required=False,
            ),
            Field(
                "audio",
                "The preview itself; not looked at beside a `task_id`.",
                {"type": "string", "format": "binary", "contentMediaType": "audio/*"},
                required=False,
            ),
        ),
        alternatives=("task_id", "audio"),
        media_types=("multipart/form-data",),
    ),
    answers=(
        Answer(
            "The voice.",
            DesignResponse,
            links=(
                Link("preview", "getVoicePreview", "The preview.", {"id": "$response.body#/id"}),
                Link("delete", "deleteVoice", "Delete it.", {"id": "$response.body#/id"}),
            ),
        ),
    ),
    refusals=(
        Refusal(400, "invalid_form", "Invalid form data."),
        *_OF_DESIGN,
        Refusal(404, "task_not_found", "Preview task not found."),
        VOICE_NOT_FOUND,
        Refusal(409, "preview_not_finished", "The preview of this voice is not finished."),
        Refusal(400, "audio_required", "Audio file is required."),
        Refusal(400, "audio_empty", "Audio file is empty."),
        CANNOT_CLONE,
        NO_ROOM,
        LANGUAGE_UNSUPPORTED,
        *RECORDING,
        *MAKING,
    ),
)

OPERATIONS = {
    ("POST", "/api/clone/upload-url"): _UPLOAD_URL,
    ("PUT", "/api/uploads/{key:path}"): _UPLOAD,
    ("POST", "/api/clone/finalize"): _FINALIZE,
    ("POST", "/api/voices/design/preview"): _PREVIEW,
    ("POST", "/api/voices/design"): _SAVE,
}
