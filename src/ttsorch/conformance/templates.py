"""Values in the data that only a run knows.

``{speech.task_id}`` is a value saved before, and as a whole string it keeps its JSON type. ``{N}`` is the
server's ``max_text_chars``. ``{a*101}`` is a character so many times, ``{a*N+1}`` one more than the server
takes, ``{😀*N/2}`` as many as fill it when each counts twice (UTF-16). Other braces mean themselves.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

_SAVED = r"[a-z_]+(?:\.[a-z_]+)+|N"
_REPEATED = r"(?P<what>[^{}]+?)\*(?P<count>N|[0-9]+)(?P<half>/2)?(?P<more>[+-][0-9]+)?"
_PLACEHOLDER = re.compile(rf"\{{(?:(?P<name>{_SAVED})|{_REPEATED})\}}")

#: The name under which the server's ``max_text_chars`` is kept.
LIMIT = "N"


class Unknown(Exception):
    """A value that no step before has saved; the message is its name."""


def filled(value: object, values: Mapping[str, object]) -> object:
    """``value`` with every placeholder in it replaced.

    Raises:
        Unknown: a value isn't there.
    """
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        return _value(whole, values) if whole else filled_text(value, values)
    if isinstance(value, Mapping):
        return {name: filled(each, values) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [filled(each, values) for each in value]
    return value


def filled_text(text: str, values: Mapping[str, object]) -> str:
    """A string, whatever the values are."""
    return _PLACEHOLDER.sub(lambda found: str(_value(found, values)), text)


def filled_path(path: str, values: Mapping[str, object]) -> str:
    """A string whose values are percent-encoded, each as one segment of a path or one query value."""
    return _PLACEHOLDER.sub(lambda found: quote(str(_value(found, values)), safe=""), path)


def names_in(text: str) -> set[str]:
    """The saved values that a text asks for."""
    return {found["name"] for found in _PLACEHOLDER.finditer(text) if found["name"]}


def _value(found: re.Match[str], values: Mapping[str, object]) -> object:
    name = found["name"]
    if name is None:
        return found["what"] * _count(found, values)
    if name not in values:
        raise Unknown(name)
    return values[name]


def _count(found: re.Match[str], values: Mapping[str, object]) -> int:
    if found["count"] == LIMIT:
        limit = values.get(LIMIT)
        if not isinstance(limit, int):
            raise Unknown("max_text_chars")
        count = limit
    else:
        count = int(found["count"])
    if found["half"]:
        count //= 2
    return count + int(found["more"] or 0)
