"""Who can speak (R11 to R13)."""

from ttsorch.contract.openapi.parameters import PAGING, an_id, or_any_string, searching
from ttsorch.contract.openapi.refusals import INVALID_KEY, VOICE_NOT_FOUND
from ttsorch.contract.openapi.vocabulary import Answer, Link, Operation, Parameter, Refusal
from ttsorch.contract.wire import DoneResponse, VoicesResponse

_TAG = "voices"

_FIRST = {"id": "$response.body#/voices/0/id"}

_LISTING = Operation(
    "listVoices",
    _TAG,
    "List voices",
    "The caller's own voices, newest first, and after the last of them the built-in ones of the provider.",
    parameters=(
        *PAGING,
        searching("name"),
        Parameter(
            "source",
            "query",
            "Only voices of this source; anything else means all of them.",
            or_any_string("uploaded", "designed", default=""),
        ),
    ),
    answers=(
        Answer(
            "A page of voices.",
            VoicesResponse,
            links=(
                Link(
                    "speak",
                    "generate",
                    "Have the first of them speak.",
                    body={"voice_id": "$response.body#/voices/0/id"},
                ),
                Link("preview", "getVoicePreview", "How it sounds.", _FIRST),
                Link("delete", "deleteVoice", "Delete it.", _FIRST),
            ),
        ),
    ),
)

_PREVIEW = Operation(
    "getVoicePreview",
    _TAG,
    "Listen to a voice",
    "Redirects to a signed URL of the recording that it was made from, or of the preview of its design.",
    parameters=(an_id("a voice"),),
    answers=(Answer("Where the audio is.", status=302, headers=("Location",)),),
    refusals=(
        VOICE_NOT_FOUND,
        Refusal(404, "voice_audio_missing", "Voice has no reference audio."),
        INVALID_KEY,
    ),
)

_DELETE = Operation(
    "deleteVoice",
    _TAG,
    "Delete a voice",
    "It can't be chosen any more, but the history still names it. What was said with it, its recording and"
    " what the provider keeps stay. Deleting it again changes nothing and succeeds.",
    parameters=(an_id("a voice"),),
    answers=(Answer("It is deleted.", DoneResponse),),
    refusals=(
        VOICE_NOT_FOUND,
        Refusal(400, "voice_builtin", "Built-in voices cannot be deleted."),
    ),
)

OPERATIONS = {
    ("GET", "/api/voices"): _LISTING,
    ("GET", "/api/voices/{id}/preview"): _PREVIEW,
    ("DELETE", "/api/voices/{id}"): _DELETE,
}
