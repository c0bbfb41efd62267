"""The whole OpenAPI document, and its parts for a framework that makes a document of its own."""

from collections.abc import Mapping
from typing import cast

from ttsorch.contract.handler import ROUTES
from ttsorch.contract.openapi import about, casting, history, speech, voices
from ttsorch.contract.openapi.headers import HEADERS
from ttsorch.contract.openapi.implied import head, options
from ttsorch.contract.openapi.refusals import (
    BROKEN,
    NOTHING_HERE,
    TOO_LARGE,
    TOO_SLOW,
    UNAUTHENTICATED,
    UNAVAILABLE,
    WRONG_METHOD,
)
from ttsorch.contract.openapi.rendering import headers, refused, rendered, request_id, template
from ttsorch.contract.openapi.schemas import response_schemas
from ttsorch.contract.openapi.vocabulary import JsonObject, Operation
from ttsorch.contract.routing import Route
from ttsorch.models import JsonValue

#: What is said about each route of the contract.
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    **about.OPERATIONS,
    **speech.OPERATIONS,
    **history.OPERATIONS,
    **voices.OPERATIONS,
    **casting.OPERATIONS,
}

_INTRODUCTION = """\
Text to speech as durable jobs: start one, poll it (or don't), and listen to what it brought.

* Everything that succeeds is a 200 with JSON, but for the redirects to audio and the audio itself.
* Everything that fails is `{"detail": "<one sentence>"}`, with a stable `code`, one of five categories and
  the id of the request.
* Unknown keys of a body and unknown parameters are ignored. In the query, what can't be understood means the
  default.
* Who is asking is the host's to find out; here, as most hosts do, by a bearer token.
* Which pages of other origins may call is the host's to say, too; signed URLs work from any.
* What belongs to somebody else looks exactly like what isn't there.
"""

_TAGS = {
    "speech": "Jobs, from the first request to the last poll.",
    "history": "What was said before.",
    "voices": "Who can speak.",
    "media": "Audio behind signed URLs.",
    "about": "What the server is and can do.",
}


#: As a reader looks for them.
_METHODS = ("get", "head", "post", "put", "delete", "options")


def document() -> JsonObject:
    """The contract as an OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Speech jobs",
            "version": "1",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": _paths(),
        "components": components(),
    }


def operation(route: Route) -> JsonObject:
    """The Operation Object of ``route``; it refers to :func:`components`."""
    return rendered(OPERATIONS[route.method, route.path], public=route.public)


def standalone(route: Route) -> JsonObject:
    """:func:`operation` with everything that it refers to written out: for a document of somebody else's,
    which has components and security schemes of its own."""
    shared: JsonObject = {"components": components()}
    described = {key: value for key, value in operation(route).items() if key != "security"}
    return cast(JsonObject, _written_out(described, shared))


def _written_out(value: JsonValue, shared: JsonObject) -> JsonValue:
    if isinstance(value, list):
        return [_written_out(item, shared) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        found: JsonValue = shared
        for name in reference.removeprefix("#/").split("/"):
            found = cast(JsonObject, found)[name]
        return _written_out(found, shared)
    return {key: _written_out(item, shared) for key, item in value.items()}


def components() -> JsonObject:
    """What operations refer to."""
    bodies = {
        answer.body
        for described in OPERATIONS.values()
        for answer in described.answers
        if answer.body is not None
    }
    return {
        "schemas": response_schemas(bodies),
        "responses": _shared_responses(),
        "parameters": {"RequestId": request_id()},
        "headers": {name: dict(header) for name, header in HEADERS.items()},
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token that the host gave its user.",
            }
        },
    }


def _paths() -> JsonObject:
    paths: dict[str, JsonObject] = {}
    for route in ROUTES:
        path, described = template(route.path), OPERATIONS[route.method, route.path]
        methods = paths.setdefault(path, {"options": options(path, described)})
        methods[route.method.lower()] = operation(route)
        if route.method == "GET":
            methods["head"] = rendered(head(described), public=route.public)
    return {path: _in_order(methods) for path, methods in paths.items()}


def _in_order(methods: JsonObject) -> JsonObject:
    return {name: methods[name] for name in _METHODS if name in methods}


def _shared_responses() -> JsonObject:
    return {
        "Unauthenticated": refused(UNAUTHENTICATED),
        "NothingHere": refused([NOTHING_HERE]),
        "WrongMethod": refused([WRONG_METHOD]),
        "TooSlow": refused([TOO_SLOW]),
        "TooLarge": refused([TOO_LARGE]),
        "Broken": refused(BROKEN),
        "Unavailable": refused(UNAVAILABLE),
        "Options": {
            "description": "The methods that this address knows. A browser's preflight is told more, if its"
            " page may call.",
            "headers": headers("Allow"),
        },
    }
