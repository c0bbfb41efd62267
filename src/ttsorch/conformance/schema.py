"""The form of the exchanges in ``exchanges/*.json``: validated once at the edge, frozen inside.

The files are data so that a suite in another language can read them too; ``docs/contract-test.md`` describes
the form for people. Unknown keys are refused: a misspelt check would never be made.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator


class Part(BaseModel):
    """A piece of the data."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Who(StrEnum):
    """Who asks: one of two users whose tokens were given, nobody at all, or somebody with a token that
    the server has never seen."""

    OWNER = "owner"
    OTHER = "other"
    NOBODY = "nobody"
    STRANGER = "stranger"


#: The JSON types that a value may be asked to have; with ``?`` it may be null as well. ``sentence`` is a
#: string with something in it, ``time`` one in the form of RFC 3339, ``link`` an absolute http(s) URL.
Type: TypeAlias = Literal[
    "any", "string", "string?", "sentence", "sentence?", "number", "number?", "integer", "integer?",
    "boolean", "boolean?", "null", "list", "object", "time", "time?", "link",
]  # fmt: skip


class Matcher(Part):
    """What a JSON value has to be; everything that is named here has to hold. Written as one word, it is
    the ``type`` alone."""

    type: Type | None = None
    equals: JsonValue = Field(default=None, alias="is")
    other_than: JsonValue = Field(default=None, alias="not")
    one_of: tuple[JsonValue, ...] | None = None
    #: The value at this path of the same body.
    same_as: str | None = None
    pattern: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    #: Of an object: keys that have to be there, keys that may, and keys that must not.
    keys: Mapping[str, "Matcher"] | None = None
    additive: Mapping[str, "Matcher"] | None = None
    absent: tuple[str, ...] = ()
    #: Of a list: what holds for each element, the first, one of them, none; and in which order they are.
    each: "Matcher | None" = None
    first: "Matcher | None" = None
    contains: "Matcher | None" = None
    lacks: "Matcher | None" = None
    newest_first: str | None = None
    #: Of a list or a string: how long it is.
    length: JsonValue = None

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value

    def says(self, name: str) -> bool:
        """Whether the data names this check; some may be made with null."""
        return name in self.model_fields_set


class FormField(Part):
    """One part of a multipart body: a plain value, or a file."""

    name: str
    value: JsonValue = None
    file: str | None = None
    content_type: str | None = None
    content: "Content | None" = None


class Content(Part):
    """The bytes that are sent; exactly one of these. ``clip`` is a recording of speech to clone from,
    ``wav_bytes`` a valid WAV of that size."""

    data: JsonValue = Field(default=None, alias="json")
    text: str | None = None
    base64: str | None = None
    multipart: tuple[FormField, ...] | None = None
    clip: Literal[True] | None = None
    wav_bytes: int | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Content":
        if len(self.model_fields_set) != 1:
            raise ValueError("a body has exactly one kind of content")
        return self


class Bytes(Part):
    """What the bytes of an answer have to be. ``audio``: audio by its first bytes, of the type that the
    header says. ``same_as`` names bytes saved before; ``start`` and ``end`` the part of them."""

    audio: bool = False
    same_as: str | None = None
    start: int = 0
    end: int | None = None


class Expectation(Part):
    """What has to hold for an answer. For a failure (400 and up) the contract's form is always checked:
    JSON, ``detail`` a string, and the additive keys right where they are there."""

    status: int | tuple[int, ...]
    #: The contract's own sentence, to the letter.
    detail: str | None = None
    #: Our sentence where the contract leaves the words to the server: another one is only noted.
    wording: str | None = None
    body: Matcher | None = Field(default=None, alias="json")
    headers: Mapping[str, Matcher] = Field(default_factory=dict)
    #: Headers that may be missing, but not wrong.
    additive_headers: Mapping[str, Matcher] = Field(default_factory=dict)
    content: Bytes | None = None
    #: The answer saved under this name: same status and same body, but for the request id.
    same_answer_as: str | None = None
    #: Nobody says what form this answer has: it comes from a storage of the host's.
    any_form: bool = False

    @property
    def statuses(self) -> tuple[int, ...]:
        return self.status if isinstance(self.status, tuple) else (self.status,)


class Otherwise(Part):
    """An answer that ends the case without a difference: what it is about isn't there."""

    status: int | tuple[int, ...] | None = None
    detail: str | None = None
    body: Matcher | None = Field(default=None, alias="json")
    outcome: Literal["not_applicable", "not_offered"]
    because: str

    @property
    def statuses(self) -> tuple[int, ...]:
        if self.status is None:
            return ()
        return self.status if isinstance(self.status, tuple) else (self.status,)


class Poll(Part):
    """Ask again and again until the value at ``at`` is one of ``until``. On the way no status may step
    back, no answer may be a 404, and the poll count grows by one with each poll of an active task."""

    at: str = "status"
    until: tuple[str, ...]
    #: The status that the client was told before the first poll, and the poll count then.
    after: str | None = None
    counted: int | None = None
    #: What holds for the body of each answer until then.
    meanwhile: Matcher | None = None


class Step(Part):
    """One request, and what its answer has to be."""

    #: Shown with a difference, when a case has many steps.
    say: str | None = None
    method: str = "GET"
    #: Below the server's URL; or ``url``, which the server itself has given. It never gets a real token.
    path: str | None = None
    url: str | None = None
    #: What is done to ``url`` before: its query is dropped, or a character of its end is changed.
    alter: Literal["drop_query", "change_end"] | None = None
    #: Or it gets the query of this other saved URL.
    query_of: str | None = None
    who: Who = Who.OWNER
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: Content | None = None
    unless: tuple[Otherwise, ...] = ()
    expect: Expectation
    poll: Poll | None = None
    #: From a name to where its value is: a path in the JSON body, ``header:NAME``, ``bytes`` or ``answer``.
    save: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _addressed(self) -> "Step":
        if (self.path is None) == (self.url is None):
            raise ValueError("a step has either a path or a url")
        if self.url is not None and self.who in (Who.OWNER, Who.OTHER):
            raise ValueError("a token is never sent to a URL that a server has given")
        return self


class Cost(Part):
    """How often the vendor may have to be paid, at most."""

    speeches: int = 0
    voices: int = 0


class Case(Part):
    """One behaviour of the contract, in one sentence."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    name: str
    #: Rows (R3), conventions (C7) and sections (4.5) that it proves.
    proves: tuple[str, ...] = Field(min_length=1)
    #: A server may do without it; one that has it has to have it right.
    additive: bool = False
    #: Ids of cases whose saved values this one uses; they run before it.
    needs: tuple[str, ...] = ()
    #: ``tokens``, ``two_owners``, ``voice``, ``builtin_voice``, ``foreign_voice`` (one of another
    #: provider's), ``provider:NAME``, ``provider:!NAME``, ``elsewhere:VALUE`` (that saved link leads to
    #: another origin). Otherwise it doesn't apply.
    requires: tuple[str, ...] = ()
    cost: Cost = Cost()
    steps: tuple[Step, ...] = Field(min_length=1)
    #: Paths to DELETE in the end, whatever happened, if their values were saved.
    cleanup: tuple[str, ...] = ()


class Theme(Part):
    """One file of exchanges."""

    theme: str
    cases: tuple[Case, ...] = Field(min_length=1)
