"""The methods that an address has without a line in the table: HEAD where there is GET, and OPTIONS."""

from dataclasses import replace

from ttsorch.contract.openapi.rendering import REQUEST_ID_REFERENCE, parameter
from ttsorch.contract.openapi.vocabulary import JsonObject, Operation

#: A range is for GET alone (RFC 9110, 14.2).
_OF_RANGES = (206, 416)


def head(get: Operation) -> Operation:
    """What HEAD does where ``get`` is. What it says about bodies is true of their headers."""
    return replace(
        get,
        id=f"{get.id}Head",
        summary=f"{get.summary}: the headers alone",
        description="The same as with GET, but for the body, which is not sent.",
        answers=tuple(
            replace(answer, links=()) for answer in get.answers if answer.status not in _OF_RANGES
        ),
    )


def options(path: str, known: Operation) -> JsonObject:
    """What OPTIONS does at ``path``, where ``known`` is. Nobody is asked who they are: a browser's
    preflight carries no token."""
    in_path = [each for each in known.parameters if each.where == "path"]
    responses: JsonObject = {"204": {"$ref": "#/components/responses/Options"}}
    if in_path:
        responses["404"] = {"$ref": "#/components/responses/NothingHere"}
    return {
        "tags": [known.tag],
        "summary": "Which methods this address knows",
        "description": "Also the answer to the preflight of a browser.",
        "operationId": f"options{_camel(path)}",
        "parameters": [REQUEST_ID_REFERENCE, *map(parameter, in_path)],
        "responses": responses,
        "security": [],
    }


def _camel(path: str) -> str:
    words = path.removeprefix("/api").translate(str.maketrans("-{}", "/  ")).split("/")
    return "".join(word.strip().capitalize() for word in words)
