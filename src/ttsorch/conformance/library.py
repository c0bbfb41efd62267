"""Reads the exchanges that are shipped with this package."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from pydantic import ValidationError

from ttsorch.conformance.schema import Case, Theme

#: In the order in which they run.
THEMES = (
    "about",
    "conventions",
    "generate",
    "tasks",
    "history",
    "media",
    "voices",
    "clone",
    "design",
    "isolation",
)


class BadExchanges(Exception):
    """A file of exchanges isn't in the form that :mod:`ttsorch.conformance.schema` describes."""


@cache
def shipped_cases() -> tuple[Case, ...]:
    """Every case, in the order in which they run."""
    folder = files("ttsorch.conformance") / "exchanges"
    return tuple(
        case
        for name in THEMES
        for case in read_theme((folder / f"{name}.json").read_text("utf-8"), name).cases
    )


def theme_of(case: Case) -> str:
    """The theme whose file the case is in."""
    return _themes()[case.id]


@cache
def _themes() -> Mapping[str, str]:
    folder = files("ttsorch.conformance") / "exchanges"
    return {
        case.id: name
        for name in THEMES
        for case in read_theme((folder / f"{name}.json").read_text("utf-8"), name).cases
    }


def read_theme(text: str, name: str) -> Theme:
    """The cases of one file, with the examples of its steps written out.

    Raises:
        BadExchanges: names the file and the place.
    """
    try:
        return Theme.model_validate(_expanded(json.loads(text)))
    except ValueError as error:
        where = error.errors()[0]["loc"] if isinstance(error, ValidationError) else ""
        raise BadExchanges(f"{name}.json: {where} {error}") from error


def _expanded(theme: dict[str, object]) -> dict[str, object]:
    cases = theme.get("cases")
    if not isinstance(cases, list):
        return theme
    return {**theme, "cases": [_expanded_case(case) for case in cases]}


def _expanded_case(case: dict[str, object]) -> dict[str, object]:
    steps = case.get("steps")
    if not isinstance(steps, list):
        return case
    return {**case, "steps": [each for step in steps for each in _examples(step)]}


def _examples(step: dict[str, object]) -> Iterator[object]:
    """A step with ``examples`` stands for as many steps, each with an example's fields laid over it."""
    examples = step.get("examples")
    if not isinstance(examples, list):
        yield step
        return
    plain = {name: value for name, value in step.items() if name != "examples"}
    for example in examples:
        yield _laid_over(plain, example)


def _laid_over(below: object, above: object) -> object:
    if isinstance(below, dict) and isinstance(above, dict):
        merged = dict(below)
        for name, value in above.items():
            merged[name] = _laid_over(below[name], value) if name in below else value
        return merged
    return above
