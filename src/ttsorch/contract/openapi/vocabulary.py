"""What can be said about a route, as data. What is said stands beside it, a file for each topic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ttsorch.contract.wire import Body
from ttsorch.errors import Category
from ttsorch.models import JsonValue

#: A JSON Schema (2020-12, which is what OpenAPI 3.1 uses), or another object of the document.
JsonObject: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way to be refused. Each ``{}`` in ``detail`` stands for what differs from case to case; ``fill``
    holds what the example says there."""

    status: int
    code: str
    detail: str
    fill: tuple[str, ...] = ()
    category: Category = Category.VALIDATION

    @property
    def sentence(self) -> str:
        return self.detail.format(*self.fill)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value outside of the body. A schema that takes any string is meant: the contract falls back to
    a default where others would refuse (C8)."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, JsonValue]
    required: bool = False
    example: JsonValue = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body that a client sends."""

    name: str
    description: str
    schema: Mapping[str, JsonValue]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Payload:
    """The body that a client sends: an object of ``fields``, or with none of them any bytes. Of
    ``alternatives``, each the name of a field, one at least has to be there."""

    description: str
    fields: tuple[Field, ...] = ()
    alternatives: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)
    example: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What can be done next with something that an answer holds: values as OpenAPI's runtime expressions.
    ``to`` is the id of an operation; ``body`` names fields of the body it is sent."""

    name: str
    to: str
    description: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """One way to be served: JSON of the shape of ``body``, or bytes of ``media_type``, or no body at all.
    ``headers`` are names in :data:`~ttsorch.contract.openapi.headers.HEADERS`, beside ``X-Request-ID``; those
    in ``sometimes`` may be missing."""

    description: str
    body: type[Body] | None = None
    status: int = 200
    media_type: str | None = None
    headers: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """All that is said about one route, beside what every route has. ``refusals`` are in the order of the
    checks."""

    id: str
    tag: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    parameters: tuple[Parameter, ...] = ()
    payload: Payload | None = None
    refusals: tuple[Refusal, ...] = ()
