"""From what is said about a route to OpenAPI's words for it."""

import re
from collections.abc import Iterable, Mapping

from ttsorch.contract.openapi.headers import HEADERS
from ttsorch.contract.openapi.headers import REQUEST_ID as REQUEST_ID_HEADER
from ttsorch.contract.openapi.parameters import REQUEST_ID
from ttsorch.contract.openapi.refusals import BROKEN, NOTHING_HERE, UNAVAILABLE
from ttsorch.contract.openapi.schemas import PREFIX
from ttsorch.contract.openapi.vocabulary import (
    Answer,
    JsonObject,
    Link,
    Operation,
    Parameter,
    Payload,
    Refusal,
)

_PLACEHOLDER = re.compile(r":path\}")

#: What kinds of refusal there are; a route's own sentences are the examples.
_REFUSED: Mapping[int, str] = {
    400: "The request can't be served as it stands.",
    401: "Nobody knows who is asking. This comes before anything else is looked at.",
    403: "This may not be read.",
    404: "There is no such thing, or it is somebody else's: both look the same.",
    405: "This address doesn't know the method.",
    408: "The body was not there in time (30 seconds).",
    409: "It contradicts what is there.",
    413: "The body is too large.",
    429: "More than is taken in at once, or in a minute. Nothing was written.",
    500: "A bug, or a server that is set up wrong; its log has more under the request id.",
    502: "The provider refused.",
    503: "The provider or the storage can't serve this now; later they may.",
    504: "The provider did not answer in time.",
}
#: One response of each name for all routes; every error that only its route has is written out there.
SHARED: Mapping[int, str] = {
    401: "Unauthenticated",
    405: "WrongMethod",
    408: "TooSlow",
    413: "TooLarge",
    500: "Broken",
    503: "Unavailable",
}


REQUEST_ID_REFERENCE: JsonObject = {"$ref": "#/components/parameters/RequestId"}
#: What stands beside a route's own refusals of that status. An id with a slash in it leads elsewhere.
_COMMON: Mapping[int, tuple[Refusal, ...]] = {404: (NOTHING_HERE,), 500: BROKEN, 503: UNAVAILABLE}


def template(path: str) -> str:
    """A route's path as OpenAPI writes it."""
    return _PLACEHOLDER.sub("}", path)


def rendered(operation: Operation, *, public: bool) -> JsonObject:
    """The Operation Object."""
    found: JsonObject = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "operationId": operation.id,
        "parameters": [
            REQUEST_ID_REFERENCE,
            *map(parameter, operation.parameters),
        ],
    }
    if operation.payload is not None:
        found["requestBody"] = _request_body(operation.payload)
    found["responses"] = _responses(operation, public=public)
    found["security"] = [] if public else [{"bearer": []}]
    return found


def parameter(of: Parameter) -> JsonObject:
    """The Parameter Object."""
    found: JsonObject = {"name": of.name, "in": of.where, "description": of.description}
    if of.required:
        found["required"] = True
    found["schema"] = dict(of.schema)
    if of.example is not None:
        found["example"] = of.example
    return found


def request_id() -> JsonObject:
    return parameter(REQUEST_ID)


def refused(refusals: Iterable[Refusal]) -> JsonObject:
    """The Response Object of refusals that have one status."""
    refusals = tuple(refusals)
    (status,) = {refusal.status for refusal in refusals}
    return {
        "description": _REFUSED[status],
        "headers": {**headers(*_headers_of(status)), **_sometimes(*_sometimes_of(status))},
        "content": {
            "application/json": {
                "schema": {"$ref": f"{PREFIX}ErrorResponse"},
                "examples": _examples(refusals),
            }
        },
    }


def headers(*names: str) -> JsonObject:
    """References to these headers, and to the one that every answer has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, REQUEST_ID_HEADER)}


def _sometimes(*names: str) -> JsonObject:
    return {name: {**HEADERS[name], "required": False} for name in names}


def _sometimes_of(status: int) -> tuple[str, ...]:
    """Who was refused by a provider may have been told when to come back."""
    return ("Retry-After",) if status in (502, 504) else ()


def _headers_of(status: int) -> tuple[str, ...]:
    named = {
        401: ("WWW-Authenticate",),
        405: ("Allow",),
        429: ("Retry-After",),
        503: ("Retry-After",),
    }
    return named.get(status, ())


def _examples(refusals: Iterable[Refusal]) -> JsonObject:
    """By code; the second sentence of a code has a number."""
    examples: JsonObject = {}
    for refusal in refusals:
        number = sum(name.partition("-")[0] == refusal.code for name in examples) + 1
        name = refusal.code if number == 1 else f"{refusal.code}-{number}"
        examples[name] = _example(refusal)
    return examples


def _example(refusal: Refusal) -> JsonObject:
    value: JsonObject = {
        "detail": refusal.sentence,
        "code": refusal.code,
        "category": refusal.category.value,
        "request_id": "6f1d0f0b7c5e4b0e9b7a2f1c3d4e5f60",
    }
    return {"summary": refusal.detail.replace("{}", "…"), "value": value}


def _request_body(payload: Payload) -> JsonObject:
    content: JsonObject = {}
    if payload.fields:
        content["schema"] = _object(payload)
    if payload.example is not None:
        content["example"] = dict(payload.example)
    return {
        "description": payload.description,
        "required": True,
        "content": dict.fromkeys(payload.media_types, content),
    }


def _object(payload: Payload) -> JsonObject:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            field.name: {**field.schema, "description": field.description}
            for field in payload.fields
        },
        "required": [field.name for field in payload.fields if field.required],
    }
    if payload.alternatives:
        schema["anyOf"] = [{"required": [name]} for name in payload.alternatives]
    return schema


def _responses(operation: Operation, *, public: bool) -> JsonObject:
    found = {str(answer.status): _served(answer) for answer in operation.answers}
    own: dict[int, list[Refusal]] = {}
    for refusal in operation.refusals:
        own.setdefault(refusal.status, []).append(refusal)
    for status in own.keys() | _shared_statuses(operation, public=public):
        if status in own:
            found[str(status)] = refused([*own[status], *_COMMON.get(status, ())])
        else:
            found[str(status)] = {"$ref": f"#/components/responses/{SHARED[status]}"}
    return {status: found[status] for status in sorted(found)}


def _shared_statuses(operation: Operation, *, public: bool) -> set[int]:
    asked = set() if public else {401}
    sent = {408, 413} if operation.payload is not None else set()
    return {405, 500, 503} | asked | sent


def _served(answer: Answer) -> JsonObject:
    found: JsonObject = {
        "description": answer.description,
        "headers": {**headers(*answer.headers), **_sometimes(*answer.sometimes)},
    }
    if answer.body is not None:
        schema = {"$ref": f"{PREFIX}{answer.body.__name__}"}
        found["content"] = {"application/json": {"schema": schema}}
    elif answer.media_type is not None:
        found["content"] = {answer.media_type: {}}
    if answer.links:
        found["links"] = {link.name: _link(link) for link in answer.links}
    return found


def _link(link: Link) -> JsonObject:
    found: JsonObject = {"operationId": link.to, "description": link.description}
    if link.parameters:
        found["parameters"] = dict(link.parameters)
    if link.body:
        found["requestBody"] = dict(link.body)
    return found
