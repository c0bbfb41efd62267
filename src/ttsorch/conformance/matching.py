"""Whether a JSON value is what a :class:`~ttsorch.conformance.schema.Matcher` asks for."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard
from urllib.parse import urlsplit

from ttsorch.conformance.schema import Matcher
from ttsorch.conformance.templates import filled, filled_text


@dataclass(frozen=True, slots=True)
class Mismatch:
    """``path`` is where in the value, ``expected`` a phrase, ``got`` the value itself (or its absence).
    ``additive``: what is missing may be missing."""

    path: str
    expected: str
    got: object
    additive: bool = False


class Absent:
    """There is nothing at that path."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT = Absent()


def at_path(value: object, path: str) -> object:
    """What is at ``a.0.b`` of a JSON value; ``ABSENT`` if nothing is."""
    for step in path.split(".") if path else ():
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
    return value


def mismatches(value: object, matcher: Matcher, values: Mapping[str, object]) -> Sequence[Mismatch]:
    """Everything that is wrong with ``value``.

    Raises:
        templates.Unknown: the matcher names a value that nobody saved.
    """
    return list(_Matching(value, values).check(value, matcher, ""))


class _Matching:
    def __init__(self, root: object, values: Mapping[str, object]) -> None:
        self._root = root
        self._values = values

    def check(self, value: object, matcher: Matcher, path: str) -> Iterator[Mismatch]:
        if matcher.type is not None and not _TYPES[matcher.type](value):
            yield Mismatch(path, matcher.type, value)
            return
        yield from self._check_value(value, matcher, path)
        yield from self._check_bounds(value, matcher, path)
        yield from self._check_object(value, matcher, path)
        yield from self._check_list(value, matcher, path)

    def _check_value(self, value: object, matcher: Matcher, path: str) -> Iterator[Mismatch]:
        if matcher.says("equals"):
            expected = filled(matcher.equals, self._values)
            if not same(value, expected):
                yield Mismatch(path, shown(expected), value)
        if matcher.says("other_than"):
            refused = filled(matcher.other_than, self._values)
            if same(value, refused):
                yield Mismatch(path, f"not {shown(refused)}", value)
        if matcher.one_of is not None:
            allowed = [filled(each, self._values) for each in matcher.one_of]
            if not any(same(value, each) for each in allowed):
                yield Mismatch(path, f"one of {shown(allowed)}", value)
        if matcher.same_as is not None:
            expected = at_path(self._root, matcher.same_as)
            if not same(value, expected):
                yield Mismatch(path, f"the same as {matcher.same_as}, {shown(expected)}", value)
        if matcher.pattern is not None:
            pattern = filled_text(matcher.pattern, self._values)
            if not isinstance(value, str) or not re.search(pattern, value):
                yield Mismatch(path, f"something like {pattern}", value)

    def _check_bounds(self, value: object, matcher: Matcher, path: str) -> Iterator[Mismatch]:
        if matcher.says("length"):
            length = filled(matcher.length, self._values)
            if not isinstance(value, list | str) or len(value) != length:
                yield Mismatch(path, f"{length} elements", value)
        number = len(value) if isinstance(value, list | str) else value
        if matcher.at_least is not None and not (_number(number) and number >= matcher.at_least):
            yield Mismatch(path, f"at least {matcher.at_least:g}", value)
        if matcher.at_most is not None and not (_number(number) and number <= matcher.at_most):
            yield Mismatch(path, f"at most {matcher.at_most:g}", value)

    def _check_object(self, value: object, matcher: Matcher, path: str) -> Iterator[Mismatch]:
        if matcher.keys is None and matcher.additive is None and not matcher.absent:
            return
        if not isinstance(value, Mapping):
            yield Mismatch(path, "object", value)
            return
        for name, expected in (matcher.keys or {}).items():
            if name not in value:
                yield Mismatch(_below(path, name), "the key", ABSENT)
            else:
                yield from self.check(value[name], expected, _below(path, name))
        for name, expected in (matcher.additive or {}).items():
            if name not in value:
                yield Mismatch(_below(path, name), "the key", ABSENT, additive=True)
            else:
                yield from self.check(value[name], expected, _below(path, name))
        for name in matcher.absent:
            if name in value:
                yield Mismatch(_below(path, name), "no such key", value[name])

    def _check_list(self, value: object, matcher: Matcher, path: str) -> Iterator[Mismatch]:
        about_lists = ("each", "first", "contains", "lacks", "newest_first")
        if not any(map(matcher.says, about_lists)):
            return
        if not isinstance(value, list):
            yield Mismatch(path, "list", value)
            return
        if matcher.each is not None:
            for number, element in enumerate(value):
                yield from self.check(element, matcher.each, _below(path, str(number)))
        if matcher.first is not None:
            first = value[0] if value else ABSENT
            yield from self.check(first, matcher.first, _below(path, "0"))
        if matcher.contains is not None and not self._has(value, matcher.contains):
            yield Mismatch(path, f"one that is {self._described(matcher.contains)}", value)
        if matcher.lacks is not None and self._has(value, matcher.lacks):
            yield Mismatch(path, f"none that is {self._described(matcher.lacks)}", value)
        if matcher.newest_first is not None:
            yield from _check_order(value, matcher.newest_first, path)

    def _has(self, elements: Sequence[object], matcher: Matcher) -> bool:
        return any(not list(self.check(element, matcher, "")) for element in elements)

    def _described(self, matcher: Matcher) -> str:
        plain = matcher.model_dump(by_alias=True, exclude_unset=True, mode="json")
        return shown(filled(plain.get("keys", plain), self._values))


def same(one: object, other: object) -> bool:
    """JSON's equality: ``true`` is no number, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _check_order(elements: Sequence[object], name: str, path: str) -> Iterator[Mismatch]:
    """Elements without a time (built-in voices) have no place in the order."""
    times = [at_path(element, name) for element in elements]
    moments = [moment for moment in map(_moment, times) if moment is not None]
    if moments != sorted(moments, reverse=True):
        yield Mismatch(path, f"the newest first, by {name}", times)


def _moment(value: object) -> datetime | None:
    """With a zone, as RFC 3339 wants it."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _sentence(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _link(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


_PLAIN_TYPES: Mapping[str, Callable[[object], bool]] = {
    "any": lambda value: True,
    "string": lambda value: isinstance(value, str),
    "sentence": _sentence,
    "number": _number,
    "integer": _integer,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
    "time": lambda value: _moment(value) is not None,
    "link": _link,
}


def _or_null(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    **_PLAIN_TYPES,
    **{f"{name}?": _or_null(check) for name, check in _PLAIN_TYPES.items()},
}


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A JSON value as JSON."""
    return json.dumps(value, ensure_ascii=False, default=repr)
