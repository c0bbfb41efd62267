"""Ways for a server to be wrong."""

import re
from collections.abc import Callable
from typing import Any

from tests.conformance.breaking import Change, Exchange, Rewrite
from ttsorch.adapters.asgi import Scope

TASK = "/api/tasks/[^/]+"
CANCEL = "/api/tasks/[^/]+/cancel"
GENERATE_PATH = "/api/generate"
HISTORY_PATH = "/api/generations"
AUDIO = "/api/generations/[^/]+/audio"
GENERATION = "/api/generations/[^/]+"
MEDIA_PATH = "/api/media/.*"
UPLOAD = "/api/uploads/.*"
VOICE = "/api/voices/[^/]+"
VOICES_PATH = "/api/voices"
PREVIEW = "/api/voices/[^/]+/preview"
UPLOAD_URL = "/api/clone/upload-url"
FINALIZE = "/api/clone/finalize"
DESIGN = "/api/voices/design"
BOB = "Bearer token-of-bob"
ANN = "Bearer token-of-ann"


def as_ann(scope: Scope) -> None:
    """Whoever asks is taken for ann."""
    headers: Any = scope["headers"]
    others = [pair for pair in headers if pair[0] != b"authorization"]
    scope["headers"] = [*others, (b"authorization", ANN.encode())]


def with_query(pattern: str, replacement: str) -> Rewrite:
    """The query is read otherwise than it was written."""

    def rewrite(scope: Scope) -> None:
        query: Any = scope["query_string"]
        scope["query_string"] = re.sub(pattern, replacement, query.decode()).encode()

    return rewrite


def refuse(status: int, detail: object) -> Change:
    """An answer of one's own, whatever was asked."""
    return lambda x: x.answer(status, {"detail": detail})


def refuse_if(condition: Callable[[Exchange], object], status: int, detail: object) -> Change:
    return lambda x: x.answer(status, {"detail": detail}) if condition(x) else None


def status(number: int) -> Change:
    return lambda x: setattr(x, "status", number)


def key(**changes: object) -> Change:
    return lambda x: x.set(**changes)


def header(name: str, value: str | None) -> Change:
    """Another header; None: without it."""

    def change(x: Exchange) -> None:
        x.headers.pop(name, None)
        if value is not None:
            x.headers[name] = value

    return change


def each(name: str, **changes: object) -> Change:
    """Other values in every element of a list."""
    return lambda x: x.set(**{name: [{**element, **changes} for element in x.json[name]]})


def a_page(content: bytes) -> Change:
    """A page instead of JSON."""

    def change(x: Exchange) -> None:
        x.content = content
        x.headers["content-type"] = "text/html"

    return change
