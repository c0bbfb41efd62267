"""What is JSON, and what of it is opaque to us."""

from collections.abc import Mapping
from typing import TypeAlias

JsonValue: TypeAlias = (
    "bool | int | float | str | list[JsonValue] | tuple[JsonValue, ...]"
    " | Mapping[str, JsonValue] | None"
)

#: What a provider gives for an accepted job: opaque to us, JSON, owned by the provider.
Ticket: TypeAlias = Mapping[str, JsonValue]
#: What a provider gives for a finished result: opaque to us, JSON, owned by the provider.
Envelope: TypeAlias = Mapping[str, JsonValue]
