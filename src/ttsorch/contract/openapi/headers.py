"""The headers that answers carry."""

from collections.abc import Mapping

from ttsorch.contract.openapi.vocabulary import JsonObject

REQUEST_ID = "X-Request-ID"


def _header(description: str, example: str, *, pattern: str | None = None) -> JsonObject:
    schema: JsonObject = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = pattern
    return {"description": description, "required": True, "schema": schema, "example": example}


#: Each is in every answer that names it.
HEADERS: Mapping[str, JsonObject] = {
    REQUEST_ID: _header(
        "The name of this request in the server's log: what the client sent, if that was printable ASCII"
        " (cut at 128 characters), or else an id made for it.",
        "6f1d0f0b7c5e4b0e9b7a2f1c3d4e5f60",
    ),
    "Location": _header(
        "A signed URL that needs no token and works for an hour.",
        "/api/media/b3c1/9f86d081-884c-4d63-8a2f-2f1c7b0e5a11/1.wav?expires=1767225600&signature=…",
    ),
    "Content-Range": _header(
        "Which bytes these are, of how many; `bytes */N` says that none of the wanted ones exist.",
        "bytes 0-1023/48044",
        pattern="^bytes ([0-9]+-[0-9]+|\\*)/[0-9]+$",
    ),
    "Content-Length": _header("In bytes.", "48044", pattern="^[0-9]+$"),
    "Accept-Ranges": _header("One range at a time may be asked for.", "bytes", pattern="^bytes$"),
    "ETag": _header(
        "Names these very bytes: what is stored under a key never changes.",
        '"5f70bf18a086007016e948b04aed3b82"',
        pattern='^"[0-9a-f]{32}"$',
    ),
    "Content-Disposition": _header(
        "Whether this is to be played or kept as a file, and a readable name for it.",
        'inline; filename="speech.wav"',
        pattern="^(inline|attachment); filename=",
    ),
    "Retry-After": _header("In seconds: when to try again.", "5", pattern="^[1-9][0-9]*$"),
    "WWW-Authenticate": _header("How to say who is asking.", "Bearer", pattern="^Bearer$"),
    "Allow": _header("The methods that this address knows.", "GET, HEAD, OPTIONS"),
}
