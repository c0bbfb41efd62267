"""The page about the contract says what the code does: every route, every sentence, every test it names."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ttsorch.contract.handler import ROUTES
from ttsorch.contract.routing import Route

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "v1-contract.md").read_text("utf-8")
SOURCE = ROOT / "src" / "ttsorch"

_DETAIL = re.compile(r"\b([45]\d\d) `([^`]+)`")
_LINK = re.compile(r"\[`?([^]`]+)`?\]\(([^)#]+)[^)]*\)")
#: What the contract's code refuses with.
REFUSING = ("ValidationError", "NotFound", "Unauthenticated", "missing", "_refused")
#: What ``migrating.md`` is the manual of.
SCRIPT = ("migrate_v1", "v1_export")
#: A sentence with fewer letters of its own would fit anything.
_LEAST = 8


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_on_the_page(route: Route) -> None:
    """As its method and path, in code."""
    path = route.path.replace(":path", "")
    assert f"`{route.method} {path}`" in PAGE


@cache
def sentences() -> tuple[re.Pattern[str], ...]:
    """Every text in the source, with anything for what is filled in."""
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = _parts(node)
            if sum(map(len, parts)) >= _LEAST:
                found.append(re.compile(".+".join(map(re.escape, parts))))
    return tuple(found)


def _parts(node: ast.AST) -> list[str]:
    """The fixed parts of a text, between those that are filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if not isinstance(node, ast.JoinedStr):
        return []
    parts = [""]
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts[-1] += str(each.value)
        else:
            parts.append("")
    return parts


@pytest.mark.parametrize("detail", sorted({found[2] for found in _DETAIL.finditer(PAGE)}))
def test_every_sentence_on_the_page_is_in_the_code(detail: str) -> None:
    """Clients match them word by word."""
    assert any(sentence.fullmatch(detail) for sentence in sentences())


def refusals() -> Iterator[str]:
    """The fixed sentences that the contract's own code refuses with."""
    for path in (SOURCE / "contract").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in REFUSING:
                for part in (each for arg in node.args for each in ast.walk(arg)):
                    yield from _parts(part)


def is_sentence(text: str) -> bool:
    """And no code, which has no spaces."""
    return len(text) >= _LEAST and " " in text


@pytest.mark.parametrize("sentence", sorted({each for each in refusals() if is_sentence(each)}))
def test_every_refusal_of_the_contract_is_on_the_page(sentence: str) -> None:
    """A new one has to be told."""
    assert sentence in PAGE


@pytest.mark.parametrize("page", ["v1-contract.md", "migrating.md"])
def test_what_a_page_links_to_in_the_repository_exists(page: str) -> None:
    """Also the test that it names, in the file that it says."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    linked = [(name, to) for name, to in _LINK.findall(text) if to.startswith(("../", "decisions"))]
    assert linked
    for name, to in linked:
        path = ROOT / "docs" / to
        assert path.exists(), to
        if name.startswith("test_") and not name.endswith(".py"):
            assert f"def {name}(" in path.read_text("utf-8"), name


@pytest.mark.parametrize(
    "trap",
    [
        "crash between insert and submit",
        "id was not saved",
        "Unknown provider words",
        "`finalizing` was retried",
        "Cancel racing completion",
        "double save",
        "without any guard",
        "cannot speak were offered",
        "reported as the user's mistake",
        "met the rate limit",
    ],
)
def test_every_trap_has_a_decision_and_a_test(trap: str) -> None:
    """Each of the ten has a section of its own, with the code and the tests that show it."""
    sections = PAGE.split("## Traps of older servers")[1].split("\n## ")[0].split("\n### ")[1:]
    assert len(sections) == 10
    (section,) = [each for each in sections if trap in each.splitlines()[0]]
    assert "**Here**" in section
    assert "Code: " in section
    assert "Tests: [`test_" in section


def test_every_column_that_the_import_reads_is_documented() -> None:
    """Whoever writes an export has the page alone."""
    page = (ROOT / "docs" / "migrating.md").read_text("utf-8")
    script = "".join((ROOT / "examples" / f"{name}.py").read_text() for name in SCRIPT)
    columns = set(re.findall(r'(?:_in|required|row\.get|task\.get)\(.*?"(\w+)"', script))
    assert {"id", "user_id", "text", "reference_object_key", "modal_job_id"} <= columns
    assert [column for column in sorted(columns) if f"`{column}`" not in page] == []
