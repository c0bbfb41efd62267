"""Who can speak (R11)."""

from ttsorch.contract.openapi.parameters import PAGING, or_any_string, searching
from ttsorch.contract.openapi.vocabulary import Answer, Link, Operation, Parameter
from ttsorch.contract.wire import VoicesResponse

_TAG = "voices"

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
            ),
        ),
    ),
)

OPERATIONS = {("GET", "/api/voices"): _LISTING}
