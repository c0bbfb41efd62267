"""What was said, and how it sounds (R7 to R10, section 5)."""

from ttsorch.contract.openapi.parameters import PAGING, an_id, or_any_string, searching
from ttsorch.contract.openapi.refusals import GENERATION_NOT_FOUND, INVALID_KEY, LINK
from ttsorch.contract.openapi.vocabulary import Answer, Link, Operation, Parameter, Refusal
from ttsorch.contract.statuses import HISTORY_FILTERS
from ttsorch.contract.wire import DoneResponse, GenerationsResponse, RegenerateResponse

_TAG = "history"

_STRING = {"type": "string"}

_NEWEST = {"id": "$response.body#/generations/0/id"}

_LISTING = Operation(
    "listGenerations",
    _TAG,
    "List the history",
    "Everything that was ever asked for and not deleted, newest first. Drives nothing.",
    parameters=(
        *PAGING,
        searching("text"),
        Parameter(
            "status",
            "query",
            "Only what has this status; none or `all` means everything, and a word that is no status finds"
            " nothing.",
            or_any_string(*filter(None, HISTORY_FILTERS), default="all"),
        ),
    ),
    answers=(
        Answer(
            "A page of the history.",
            GenerationsResponse,
            links=(
                Link("audio", "getGenerationAudio", "How the newest one sounds.", _NEWEST),
                Link("again", "regenerate", "The newest one once more.", _NEWEST),
                Link("delete", "deleteGeneration", "Delete the newest one.", _NEWEST),
            ),
        ),
    ),
)

_AUDIO = Operation(
    "getGenerationAudio",
    _TAG,
    "Listen to a generation",
    "Redirects to a signed URL, at which the audio can be had for an hour without a token. Ask here again"
    " for a new one; the address of this route never changes.",
    parameters=(
        an_id("a generation"),
        Parameter(
            "download",
            "query",
            "With `1`, the signed URL gives a file with a readable name; anything else is to be played.",
            or_any_string("1", default=""),
        ),
    ),
    answers=(Answer("Where the audio is.", status=302, headers=("Location",)),),
    refusals=(
        GENERATION_NOT_FOUND,
        Refusal(404, "audio_not_available", "Generation audio not available."),
        INVALID_KEY,
    ),
)

_DELETE = Operation(
    "deleteGeneration",
    _TAG,
    "Delete a generation",
    "With its audio. An active job is cancelled first; its task can still be read.",
    parameters=(an_id("a generation"),),
    answers=(Answer("It is deleted.", DoneResponse),),
    refusals=(GENERATION_NOT_FOUND,),
)

_REGENERATE = Operation(
    "regenerate",
    _TAG,
    "Say it again",
    "Tells what to fill the form with; starts no job. Takes no body.",
    parameters=(an_id("a generation"),),
    answers=(
        Answer(
            "What was said, by whom, and the address of a form that is filled with it.",
            RegenerateResponse,
        ),
    ),
    refusals=(
        Refusal(404, "generation_not_found", "Generation not found"),
        Refusal(400, "voice_missing", "Generation has no voice_id."),
    ),
)

_OF_AUDIO = ("Content-Disposition", "ETag", "Accept-Ranges")

_MEDIA = Operation(
    "getMedia",
    "media",
    "Read stored audio",
    "For who holds a signed URL: nobody is asked who they are, and a stray token does no harm. Pages of any"
    " origin may read it. The URLs come from the `Location` and the `…_url` of other answers; don't build"
    " them.",
    parameters=(
        Parameter("key", "path", "Names the audio.", {**_STRING, "minLength": 1}, required=True),
        Parameter("expires", "query", "In seconds since 1970.", _STRING, required=True),
        Parameter("signature", "query", "Made for this key and this time.", _STRING, required=True),
        Parameter("name", "query", "The name of the file; part of what is signed.", _STRING),
        Parameter(
            "Range",
            "header",
            "One range of bytes. Several of them, another unit, or what is malformed is answered with the"
            " whole.",
            _STRING,
            example="bytes=0-1023",
        ),
        Parameter("If-Range", "header", "The `ETag` that the range is of.", _STRING),
        Parameter("If-None-Match", "header", "The `ETag` of what is there already.", _STRING),
    ),
    answers=(
        Answer(
            "All of it.",
            media_type="audio/*",
            headers=(*_OF_AUDIO, "Content-Length"),
        ),
        Answer(
            "The range that was asked for.",
            status=206,
            media_type="audio/*",
            headers=(*_OF_AUDIO, "Content-Length", "Content-Range"),
        ),
        Answer("It is there already.", status=304, headers=_OF_AUDIO),
        Answer(
            "There is nothing in this range.", status=416, headers=(*_OF_AUDIO, "Content-Range")
        ),
    ),
    refusals=(
        *LINK,
        Refusal(404, "blob_not_found", "The stored audio is missing."),
    ),
)

OPERATIONS = {
    ("GET", "/api/generations"): _LISTING,
    ("GET", "/api/generations/{id}/audio"): _AUDIO,
    ("DELETE", "/api/generations/{id}"): _DELETE,
    ("POST", "/api/generations/{id}/regenerate"): _REGENERATE,
    ("GET", "/api/media/{key:path}"): _MEDIA,
}
