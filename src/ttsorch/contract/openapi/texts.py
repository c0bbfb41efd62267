"""Schemas of the texts that a client sends (C6).

JSON Schema counts code points and has no word for what nobody can hear or see. So these allow a little more
than the contract does: combining marks and zero-width characters alone count as missing, too, and what is
counted are UTF-16 code units (C9).
"""

from ttsorch.contract.openapi.vocabulary import JsonObject

#: Controls and spaces of Latin-1.
_SILENT = r"\u0000-\u0020\u007f-\u00a0\u00ad"

#: Something that can be heard or seen, and no NUL.
AUDIBLE: JsonObject = {
    "type": "string",
    "minLength": 1,
    "pattern": rf"^[^\u0000]*[^{_SILENT}][^\u0000]*$",
}

_NO_TEXT: JsonObject = {"not": {"type": "string"}}

#: A text, but nothing of another type is refused.
MEANT_AS_TEXT: JsonObject = {"anyOf": [{"type": "string"}, _NO_TEXT]}


def audible(longest: int) -> JsonObject:
    """:data:`AUDIBLE`, up to ``longest`` UTF-16 code units."""
    return {**AUDIBLE, "maxLength": longest}


def optional(longest: int) -> JsonObject:
    """What may be left out: anything but a text, and a silent one, counts as missing."""
    return {
        "anyOf": [
            {"type": "string", "maxLength": longest, "pattern": r"^[^\u0000]*$"},
            {"type": "string", "pattern": rf"^[{_SILENT}]*$"},
            _NO_TEXT,
        ]
    }
