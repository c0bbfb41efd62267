"""Whether an answer is one that the OpenAPI document knows."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from openapi_schema_validator import OAS31Validator

from ttsorch.contract.handler import ROUTES
from ttsorch.contract.openapi import document
from ttsorch.contract.openapi.rendering import template
from ttsorch.contract.routing import Router
from ttsorch.errors import NotFound

_ROUTER = Router(ROUTES)
#: About bodies and caches; nothing that a client of the contract goes by.
_OF_EVERY_ANSWER = {
    "content-type",
    "content-length",
    "content-security-policy",
    "cross-origin-resource-policy",
    "cache-control",
    "x-content-type-options",
    "vary",
}
#: What only the provider knows: its own codes, and sentences that it was given.
_FOREIGN = frozenset({502, 503, 504})


def assert_documented(
    method: str, path: str, status: int, headers: Mapping[str, str], content: bytes
) -> None:
    """The status, the headers, the shape of the body, and the sentence of an error are documented."""
    try:
        resource, _ = _ROUTER.find(path)
    except NotFound:
        return
    route = resource.routes.get(method)
    if method == "OPTIONS" or route is None:
        return
    described = _document()["paths"][template(route.path)][method.lower()]
    assert str(status) in described["responses"], f"{method} {path}: {status} is not documented"
    response = _resolved(described["responses"][str(status)])
    _assert_headers(response.get("headers", {}), headers)
    if method != "HEAD" and (json_content := response.get("content", {}).get("application/json")):
        _assert_shape(json_content["schema"]["$ref"], json.loads(content))
        if status >= 400:
            _assert_said(json_content["examples"], status, json.loads(content))


def _assert_headers(documented: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    for name, header in documented.items():
        described = _document()["components"]["headers"][name] if "$ref" in header else header
        assert name.lower() in headers or not described["required"], f"{name} is missing"
    more = {name for name in headers if not name.startswith("access-control-")} - _OF_EVERY_ANSWER
    assert more <= {name.lower() for name in documented}, "a header is not documented"


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document()))
    return found


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    shared: dict[str, dict[str, Any]] = _document()["components"]["responses"]
    reference: str | None = response.get("$ref")
    return response if reference is None else shared[reference.rpartition("/")[2]]


@cache
def _validator(reference: str) -> OAS31Validator:
    return OAS31Validator({"$ref": reference, "components": _document()["components"]})


def _assert_shape(reference: str, body: object) -> None:
    _validator(reference).validate(body)


def _assert_said(examples: Mapping[str, Any], status: int, body: Mapping[str, str]) -> None:
    if status in _FOREIGN:
        return
    said = [
        example["value"]
        for example in examples.values()
        if re.fullmatch(_pattern(example["summary"]), body["detail"])
    ]
    known = {(each["code"], each["category"]) for each in said}
    assert (body["code"], body["category"]) in known, f"not documented: {status} {body}"


def _pattern(summary: str) -> str:
    """The summary of an example is its sentence, with an ellipsis for what differs."""
    return re.escape(summary).replace("…", ".+")
