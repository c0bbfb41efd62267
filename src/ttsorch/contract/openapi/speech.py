"""Starting a job and following it to its end (R3 to R6, A1, A2)."""

from ttsorch.contract.openapi.parameters import (
    IDEMPOTENCY_KEY,
    an_id,
    count,
    or_any_string,
)
from ttsorch.contract.openapi.refusals import (
    INVALID_JSON,
    KEY_MALFORMED,
    KEY_REUSED,
    LANGUAGE_UNSUPPORTED,
    LIMITS,
    TASK_NOT_FOUND,
    UNSPEAKABLE,
)
from ttsorch.contract.openapi.texts import AUDIBLE, MEANT_AS_TEXT
from ttsorch.contract.openapi.vocabulary import (
    Answer,
    Field,
    Link,
    Operation,
    Parameter,
    Payload,
    Refusal,
)
from ttsorch.contract.query import PER_PAGE
from ttsorch.contract.wire import (
    CancelResponse,
    DoneResponse,
    GenerateResponse,
    TaskResponse,
    TasksResponse,
)
from ttsorch.errors import Category
from ttsorch.models import TaskKind

_TAG = "speech"

_LANGUAGE = Field(
    "language",
    "One of those that `GET /api/languages` lists, in upper or lower case. Anything but a string, or a"
    " blank one, counts as missing: `Auto`.",
    {**MEANT_AS_TEXT, "default": "Auto", "examples": ["English"]},
    required=False,
)


def _of_task(name: str, to: str, description: str, *, id: str = "task_id") -> Link:
    return Link(name, to, description, {"id": f"$response.body#/{id}"})


def _of_generation(name: str, to: str, description: str) -> Link:
    return _of_task(name, to, description, id="generation_id")


_GENERATE = Operation(
    "generate",
    _TAG,
    "Start a speech job",
    "Answers at once. The speech is made whether or not anybody polls; `GET /api/tasks/{id}` tells how far"
    " it is. A job provider that refused the job, or could not be reached, is a 502 with a `category` and a"
    " `code` that say which it was. When nobody can know whether the provider took the job, the answer is"
    " 200 and the task says so: the job is never paid twice.",
    parameters=(IDEMPOTENCY_KEY,),
    payload=Payload(
        "What to say, and who says it. Keys that aren't listed are ignored.",
        (
            Field(
                "voice_id",
                "One of `GET /api/voices`.",
                {"type": "string", "format": "uuid"},
            ),
            Field(
                "text",
                "At most `capabilities.max_text_chars` long, counted in UTF-16 code units, as a browser"
                " counts. Line breaks and spaces are kept.",
                AUDIBLE,
            ),
            _LANGUAGE,
        ),
        example={
            "voice_id": "3f2b8c1e-5d4a-5f6e-8a7b-9c0d1e2f3a4b",
            "text": "The evening was quiet.",
            "language": "English",
        },
    ),
    answers=(
        Answer(
            "The job, which goes on by itself.",
            GenerateResponse,
            links=(
                _of_task("task", "getTask", "How far it is."),
                _of_task("cancel", "cancelTask", "Stop it."),
                _of_task("forget", "deleteTask", "Delete the task; an active one is cancelled."),
                _of_generation("audio", "getGenerationAudio", "The speech, once it is there."),
                _of_generation("again", "regenerate", "What to fill a form with to say it again."),
                _of_generation("delete", "deleteGeneration", "Delete it from the history."),
            ),
        ),
    ),
    refusals=(
        INVALID_JSON,
        KEY_MALFORMED,
        Refusal(400, "voice_required", "Please select a voice"),
        Refusal(400, "voice_id_invalid", "Invalid voice_id"),
        Refusal(400, "text_required", "Please enter text to speak"),
        Refusal(400, "text_too_long", "Text cannot exceed {} characters", ("10000",)),
        UNSPEAKABLE,
        Refusal(404, "voice_not_found", "Voice not found"),
        LANGUAGE_UNSUPPORTED,
        Refusal(
            409,
            "voice_provider_mismatch",
            "Voice belongs to provider '{}'. Switch provider mode or create a {} voice.",
            ("modal", "qwen"),
        ),
        Refusal(
            400,
            "voice_transcript_missing",
            "This voice has no reference transcript. Re-clone with a transcript to use Qwen3-TTS.",
        ),
        Refusal(400, "voice_audio_missing", "Voice has no reference audio."),
        Refusal(
            400,
            "voice_audio_too_large",
            "Reference audio too large for generation. Re-clone with a shorter clip.",
        ),
        Refusal(
            409,
            "voice_metadata_missing",
            "Voice is missing qwen provider metadata. Re-clone or redesign this voice.",
        ),
        Refusal(
            409,
            "voice_model_unsupported",
            "Voice target model is not supported by current qwen rollout configuration.",
        ),
        Refusal(409, "voice_model_mismatch", "Voice/provider model mismatch ({}).", ("vc",)),
        *LIMITS,
        KEY_REUSED,
        Refusal(
            502,
            "provider_rejected",
            "Failed to submit generation job.",
            category=Category.PROVIDER_REJECTED,
        ),
    ),
)

_SHOW = Operation(
    "getTask",
    _TAG,
    "Poll a task",
    "One poll asks the provider at most once and takes the task one step further; a task that nobody polls"
    " gets on as well. When the provider could not be asked, the status stays what it was,"
    " `provider_status` is `status_error` and `error` says why. The status never goes back.",
    parameters=(an_id("a task"),),
    answers=(
        Answer(
            "The task as it is now.",
            TaskResponse,
            # For clients that don't know ``poll_after_ms``.
            sometimes=("Retry-After",),
            links=(
                _of_generation(
                    "audio", "getGenerationAudio", "The speech, if `status` is `completed`."
                ),
            ),
        ),
    ),
    refusals=(TASK_NOT_FOUND,),
)

_LISTING = Operation(
    "listTasks",
    _TAG,
    "List tasks",
    "What a reloaded page goes on from: newest first, and by default only what is still active. Counts no"
    " polls and asks no provider.",
    parameters=(
        Parameter(
            "status",
            "query",
            "Which tasks; anything else means `active`.",
            or_any_string("active", "terminal", "all", default="active"),
        ),
        Parameter(
            "type",
            "query",
            "Only tasks of this type; anything else means all of them.",
            or_any_string(*TaskKind, default=""),
        ),
        Parameter(
            "limit",
            "query",
            f"How many: at most 50, which is also what a larger number means; anything else is {PER_PAGE}.",
            count(PER_PAGE, 50),
        ),
        Parameter(
            "before",
            "query",
            "The `next_before` of the page before this one. A time alone (ISO 8601) is taken, too; anything"
            " else is the start.",
            {"type": "string"},
        ),
    ),
    answers=(
        Answer(
            "The tasks. `next_before` is null on the last page.",
            TasksResponse,
            links=(
                _of_task("task", "getTask", "The newest of them.", id="tasks/0/id"),
                Link(
                    "next",
                    "listTasks",
                    "The next page.",
                    {"before": "$response.body#/next_before"},
                ),
            ),
        ),
    ),
)

_CANCEL = Operation(
    "cancelTask",
    _TAG,
    "Cancel a task",
    "Takes no body. A cancelled task stays cancelled, and the provider is told if it can be.",
    parameters=(an_id("a task"),),
    answers=(
        Answer(
            "It is cancelled.",
            CancelResponse,
            links=(_of_task("task", "getTask", "The cancelled task."),),
        ),
    ),
    refusals=(
        TASK_NOT_FOUND,
        Refusal(400, "task_not_active", "Cannot cancel task with status: {}", ("completed",)),
        Refusal(409, "task_not_cancellable", "Task is no longer cancellable."),
    ),
)

_DELETE = Operation(
    "deleteTask",
    _TAG,
    "Delete a task",
    "Its line in the history and its audio stay. An active task is cancelled.",
    parameters=(an_id("a task"),),
    answers=(Answer("It is deleted.", DoneResponse),),
    refusals=(TASK_NOT_FOUND,),
)

OPERATIONS = {
    ("POST", "/api/generate"): _GENERATE,
    ("GET", "/api/tasks"): _LISTING,
    ("GET", "/api/tasks/{id}"): _SHOW,
    ("POST", "/api/tasks/{id}/cancel"): _CANCEL,
    ("DELETE", "/api/tasks/{id}"): _DELETE,
}
