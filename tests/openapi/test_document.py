"""The OpenAPI document: valid, complete, and about the same contract as the code."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from tests.server.running import ROOT
from ttsorch.contract import wire
from ttsorch.contract.handler import ROUTES
from ttsorch.contract.openapi import OPERATIONS, document, operation
from ttsorch.contract.openapi.schemas import FIELDS, SHAPES

BY_ID = {described.id: described for described in OPERATIONS.values()}

#: What the routes read their JSON with.
REQUESTS: Mapping[str, type[BaseModel]] = {
    "generate": wire.GenerateRequest,
    "createUploadUrl": wire.CloneUploadRequest,
    "finalizeClone": wire.CloneFinalizeRequest,
    "previewDesign": wire.DesignPreviewRequest,
}


def the_document() -> dict[str, Any]:
    """As JSON has it: lists, not tuples."""
    found: dict[str, Any] = json.loads(json.dumps(document()))
    return found


def operations() -> Iterator[dict[str, Any]]:
    """Every Operation Object, those of HEAD and OPTIONS too."""
    for methods in the_document()["paths"].values():
        yield from methods.values()


def error_examples() -> Iterator[dict[str, Any]]:
    """Every error body that the document shows."""
    found = the_document()
    responses = [
        *found["components"]["responses"].values(),
        *(response for each in operations() for response in each["responses"].values()),
    ]
    for response in responses:
        for content in response.get("content", {}).values():
            for example in content.get("examples", {}).values():
                yield example["value"]


# --- whole ---------------------------------------------------------------------------------------------


def test_the_document_is_valid_openapi() -> None:
    """By the meta-schema of OpenAPI 3.1, with every reference resolved."""
    assert list(OpenAPIV31SpecValidator(the_document()).iter_errors()) == []


def test_the_committed_file_is_this_document() -> None:
    """Whoever reads the file reads what the code says today."""
    written = (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(written) == the_document()


def test_every_route_is_described_and_nothing_else_is() -> None:
    """A route without words, or words without a route, would be another contract."""
    assert {(route.method, route.path) for route in ROUTES} == OPERATIONS.keys()


def test_every_operation_has_an_id_of_its_own() -> None:
    """Links and generated clients name operations by it."""
    ids = [each["operationId"] for each in operations()]
    assert len(set(ids)) == len(ids)


def test_every_component_is_referred_to() -> None:
    """What nothing refers to says nothing about any route."""
    found = the_document()
    text = json.dumps(found)
    for kind, components in found["components"].items():
        if kind != "securitySchemes":
            for name in components:
                assert f'"#/components/{kind}/{name}"' in text, name


def test_what_can_be_got_has_head_and_every_address_has_options() -> None:
    """As the router has it."""
    for methods in the_document()["paths"].values():
        assert "options" in methods
        assert ("head" in methods) == ("get" in methods)


def test_only_public_routes_need_no_token() -> None:
    """C3; and the answers to who has none are documented where there can be one."""
    for route in ROUTES:
        described = operation(route)
        assert described["security"] == ([] if route.public else [{"bearer": []}])
        responses = described["responses"]
        assert isinstance(responses, dict)
        assert ("401" in responses) == (not route.public)


# --- links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", sorted(BY_ID))
def test_links_lead_to_what_is_there(source: str) -> None:
    """To an operation, with parameters and fields that it has."""
    for answer in BY_ID[source].answers:
        for link in answer.links:
            target = BY_ID[link.to]
            assert link.parameters.keys() <= {each.name for each in target.parameters}
            fields = target.payload.fields if target.payload else ()
            assert link.body.keys() <= {field.name for field in fields}


# --- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_fields_of_a_body_are_those_that_are_read(name: str) -> None:
    """None is promised that nobody looks at, and none is kept secret."""
    payload = BY_ID[name].payload
    assert payload is not None
    assert {field.name for field in payload.fields} == REQUESTS[name].model_fields.keys()


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_the_example_of_a_body_is_one(name: str) -> None:
    """It is what a reader tries first."""
    payload = BY_ID[name].payload
    assert payload is not None
    (described,) = (each for each in operations() if each["operationId"] == name)
    content = described["requestBody"]["content"]["application/json"]
    assert content["example"] == payload.example
    OAS31Validator(content["schema"]).validate(content["example"])


def test_every_json_body_is_looked_at_above() -> None:
    """A new one has to be added to ``REQUESTS``."""
    with_json = {
        described.id
        for described in OPERATIONS.values()
        if described.payload and "application/json" in described.payload.media_types
    }
    assert with_json == REQUESTS.keys()


def test_every_shape_and_field_that_words_are_about_is_there() -> None:
    """And no shape is without words."""
    schemas = the_document()["components"]["schemas"]
    assert SHAPES.keys() == schemas.keys()
    for shape, field in FIELDS:
        assert field in schemas[shape]["properties"]


def test_only_a_result_and_a_wait_may_be_absent() -> None:
    """A client may read every other key of an answer without looking whether it is there."""
    absent = {
        (name, field)
        for name, schema in the_document()["components"]["schemas"].items()
        for field in schema.get("properties", {})
        if field not in schema["required"]
    }
    assert absent == {("TaskResponse", "result"), ("ErrorResponse", "retry_after_seconds")}


# --- errors -------------------------------------------------------------------------------------------


#: As many letters make a string that says something by itself.
_TELLING = 6


def sentences() -> list[re.Pattern[str]]:
    """Every string of the library, with anything where it is put together; those of the document left
    out."""
    found: dict[str, None] = {}
    library = ROOT / "src" / "ttsorch"
    for file in sorted(library.rglob("*.py")):
        if not file.is_relative_to(library / "contract" / "openapi"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found[re.escape(node.value)] = None
                if isinstance(node, ast.JoinedStr):
                    found["".join(map(_part, node.values))] = None
    # A string that is nearly all put together would match anything.
    return [re.compile(each) for each in found if len(re.findall(r"\w", each)) >= _TELLING]


def _part(node: ast.expr) -> str:
    return re.escape(str(node.value)) if isinstance(node, ast.Constant) else ".+"


def test_every_error_that_is_documented_can_be_said() -> None:
    """Its sentence and its code are in the code of the library, word by word."""
    said = sentences()
    for example in error_examples():
        for words in (example["detail"], example["code"]):
            assert any(pattern.fullmatch(words) for pattern in said), words


def test_every_error_that_is_documented_is_one() -> None:
    """It has the shape of C2."""
    found = the_document()
    schema = {"$ref": "#/components/schemas/ErrorResponse", "components": found["components"]}
    validator = OAS31Validator(schema)
    for example in error_examples():
        validator.validate(example)
