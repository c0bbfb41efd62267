"""Parameters that more than one route has.

Most of them can't be wrong: what isn't understood falls back to a default (C7, C8), and their schemas say
so by taking any string beside what is meant.
"""

from ttsorch.contract.openapi.vocabulary import JsonObject, Parameter
from ttsorch.contract.query import MAX_PER_PAGE, PER_PAGE
from ttsorch.models import JsonValue

_ANY_STRING: JsonObject = {"type": "string"}


def or_any_string(*meant: JsonValue, default: JsonValue) -> JsonObject:
    """One of the words that are ``meant``; any other string is taken, too."""
    return {"anyOf": [{"enum": list(meant)}, _ANY_STRING], "default": default}


def count(default: int, cap: int | None = None) -> JsonObject:
    """A number from 1, and up to ``cap``; any other string is taken, too."""
    number: JsonObject = {"type": "integer", "minimum": 1}
    if cap is not None:
        number["maximum"] = cap
    return {"anyOf": [number, _ANY_STRING], "default": default}


def an_id(of: str) -> Parameter:
    """The id in a path. A malformed one names nothing, and is answered as a missing one (C7)."""
    return Parameter(
        "id",
        "path",
        f"The id of {of}. Anything that is no UUID is the id of nothing: 404.",
        {"type": "string", "minLength": 1},
        required=True,
        example="0d5f4f0e-8b0f-4c0d-9f0a-3f6f0f7f3b1a",
    )


def searching(what: str) -> Parameter:
    return Parameter(
        "search",
        "query",
        f"Only what has this in its {what}, in upper or lower case. `%` and `_` mean themselves.",
        _ANY_STRING,
    )


PAGING = (
    Parameter(
        "page",
        "query",
        "Counted from 1; anything else is 1. Past the end, a page is empty.",
        count(1),
    ),
    Parameter(
        "per_page",
        "query",
        f"How many on a page: at most {MAX_PER_PAGE}, which is also what a larger number means;"
        f" anything else is {PER_PAGE}.",
        count(PER_PAGE, MAX_PER_PAGE),
    ),
)

#: On every route.
REQUEST_ID = Parameter(
    "X-Request-ID",
    "header",
    "A name for this request, which the answer and the server's log repeat. It is replaced if it is"
    " anything but printable ASCII, and cut at 128 characters.",
    _ANY_STRING,
)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Makes it safe to send the same request again: with the same key and the same body, the first answer"
    " is given again and nothing new is started. With another body: 409.",
    {"type": "string", "pattern": "^[A-Za-z0-9._~-]{1,128}$"},
    example="4f9c1f5e-2c2d-4f0f-8f57-0a6b7a1b9c3d",
)
