"""Runs the Python examples of the README and the docs as tests."""

import os
import tempfile
from collections.abc import Iterator

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


@pytest.fixture
def empty_folder() -> Iterator[None]:
    """Examples write their files where a reader would: into the current folder."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        yield
        os.chdir(before)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/providers/*.md"],
    fixtures=["empty_folder"],
).pytest()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Examples run from top to bottom, as a page is read: a later one may use what an earlier one made."""
    examples = [item for item in items if isinstance(item, SybilItem)]
    in_order = iter(sorted(examples, key=lambda item: (str(item.path), item.example.line)))
    items[:] = [next(in_order) if isinstance(item, SybilItem) else item for item in items]
