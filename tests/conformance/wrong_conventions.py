"""Servers that are wrong about conventions and about what they refuse."""

from typing import Any

from tests.conformance.breaking import Exchange, Mutant
from tests.conformance.wrong_answers import (
    GENERATE_PATH,
    TASK,
    a_page,
    header,
    key,
    refuse,
    refuse_if,
    status,
)


def _detail_is(sentence: str) -> Any:
    return lambda x: sentence in str(x.json.get("detail"))


def _swap_order(x: Exchange) -> None:
    """Looks at the text before the voice."""
    sent = x.sent_json()
    if isinstance(sent, dict) and sent.get("text") == "":
        x.answer(400, {"detail": "Please enter text to speak"})


def _code_points(x: Exchange) -> None:
    """Counts an emoji once."""
    if "😀" in str((x.sent_json() or {}).get("text")):
        x.answer(404, {"detail": "Voice not found"})


CONVENTIONS = [
    Mutant("answers 201", "health", "GET /api/health", status(201)),
    Mutant(
        "answers in text/plain", "health", "GET /api/health", header("content-type", "text/plain")
    ),
    Mutant("says ok as a string", "health", "GET /api/health", key(ok="true")),
    Mutant(
        "has no limit",
        "languages",
        "GET /api/languages",
        key(capabilities={"supports_generate": True}),
    ),
    Mutant("has another default", "languages", "GET /api/languages", key(default="auto")),
    Mutant(
        "offers streams",
        "languages",
        "GET /api/languages",
        lambda x: x.set(capabilities={**x.json["capabilities"], "supports_generate_stream": True}),
    ),
    Mutant(
        "wants a token for languages",
        "languages-for-strangers",
        "GET /api/languages",
        refuse_if(lambda x: "nobodys" in x.token, 401, "Invalid or expired token"),
    ),
    Mutant(
        "says Unauthorized",
        "no-token",
        "POST|GET|DELETE /api/.*",
        lambda x: x.set(detail="Unauthorized") if x.status == 401 else None,
    ),
    Mutant(
        "parses the body before it asks who sends it",
        "no-token",
        f"POST {GENERATE_PATH}",
        refuse_if(lambda x: x.sent == b"{", 400, "Invalid JSON body"),
    ),
    Mutant(
        "leaves one row open",
        "no-token",
        "GET /api/voices",
        refuse_if(lambda x: not x.token, 200, ""),
    ),
    Mutant(
        "forbids a bad token",
        "bad-token",
        "GET /api/voices",
        lambda x: setattr(x, "status", 403) if x.status == 401 else None,
    ),
    Mutant(
        "has a page for unknown addresses",
        "unknown-path",
        "GET /api/there.*",
        a_page(b"<h1>Not Found</h1>"),
    ),
    Mutant(
        "explains a wrong method with an object",
        "wrong-method",
        "PUT /api/health",
        refuse(405, {"message": "no"}),
    ),
    Mutant("answers OPTIONS with 200", "options", "OPTIONS /api/.*", status(200)),
    Mutant(
        "makes its own request ids",
        "request-id-echoed",
        "GET /api/health",
        header("x-request-id", "mine"),
    ),
    Mutant(
        "echoes no id with a failure",
        "request-id-echoed",
        f"GET {TASK}",
        header("x-request-id", None),
    ),
    Mutant(
        "makes no request id", "request-id-made", "GET /api/health", header("x-request-id", None)
    ),
    Mutant(
        "echoes any length",
        "request-id-capped",
        "GET /api/health",
        lambda x: x.headers.update({"x-request-id": x.sent_headers.get("x-request-id", "")}),
    ),
    Mutant(
        "has a sixth category", "request-id-of-failures", f"GET {TASK}", key(category="not_found")
    ),
    Mutant(
        "tells two request ids", "request-id-of-failures", f"GET {TASK}", key(request_id="another")
    ),
    Mutant(
        "resets large bodies to a page", "large-body", f"POST {GENERATE_PATH}", a_page(b"<html>")
    ),
]


GENERATE = [
    Mutant(
        "lists what is wrong, as a framework does",
        "generate-voice-required",
        f"POST {GENERATE_PATH}",
        refuse(400, [{"loc": ["body"], "msg": "field required"}]),
    ),
    Mutant(
        "answers 422 for another type",
        "generate-voice-required",
        f"POST {GENERATE_PATH}",
        refuse_if(
            lambda x: (x.sent_json() or {}).get("voice_id") == 7, 422, "voice_id must be a string"
        ),
    ),
    Mutant(
        "takes null for an object",
        "generate-not-json",
        f"POST {GENERATE_PATH}",
        refuse_if(lambda x: x.sent == b"null", 400, "Please select a voice"),
    ),
    Mutant(
        "can't find what is no id",
        "generate-voice-malformed",
        f"POST {GENERATE_PATH}",
        refuse_if(_detail_is("Invalid voice_id"), 404, "Voice not found"),
    ),
    Mutant(
        "speaks white space",
        "generate-text-required",
        f"POST {GENERATE_PATH}",
        refuse_if(
            lambda x: (x.sent_json() or {}).get("text") == " \r\n\t ", 404, "Voice not found"
        ),
    ),
    Mutant(
        "says the limit with a comma",
        "generate-text-too-long",
        f"POST {GENERATE_PATH}",
        refuse(400, "Text cannot exceed 10,000 characters"),
    ),
    Mutant("counts an emoji once", "generate-text-too-long", f"POST {GENERATE_PATH}", _code_points),
    Mutant(
        "takes one character less than it says",
        "generate-text-fits",
        f"POST {GENERATE_PATH}",
        refuse(400, "Text cannot exceed 10000 characters"),
    ),
    Mutant(
        "ends the sentence with a full stop",
        "generate-voice-unknown",
        f"POST {GENERATE_PATH}",
        key(detail="Voice not found."),
    ),
    Mutant(
        "refuses keys that it doesn't know",
        "generate-voice-unknown",
        f"POST {GENERATE_PATH}",
        refuse_if(lambda x: b"model" in x.sent, 400, "Unknown key: model"),
    ),
    Mutant(
        "looks at the text before the voice", "generate-order", f"POST {GENERATE_PATH}", _swap_order
    ),
]
