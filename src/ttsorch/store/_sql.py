"""Reads SQL from the ``.sql`` files beside this module, so that no statement lives in a Python string."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_INSERTED = re.compile(r"\{\{(\w+)\}\}")
_PARAMETER = re.compile(r"%\((\w+)\)s")
_COMMENT = re.compile(r"^\s*--.*\n?", re.MULTILINE)


def named_blocks(text: str) -> Mapping[str, str]:
    """The statements of ``text`` by the name in the ``-- name: ...`` line above each.

    ``{{name}}`` in a block stands for an earlier block, without its comments: what several statements
    share, a list of columns say, is written once.

    Raises:
        ValueError: a name is used twice, has no statement, or is inserted before it is defined.
    """
    _, *parts = _NAME.split(text)
    blocks: dict[str, str] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in blocks:
            raise ValueError(f"the SQL block {name!r} is defined twice")
        if not re.search(r"^\w", block, re.MULTILINE):
            raise ValueError(f"the SQL block {name!r} is empty")
        blocks[name] = _with_insertions(block.strip(), blocks)
    return blocks


def _with_insertions(block: str, earlier: Mapping[str, str]) -> str:
    def inserted(match: re.Match[str]) -> str:
        if match[1] not in earlier:
            raise ValueError(f"no SQL block {match[1]!r} stands before the one that inserts it")
        return _COMMENT.sub("", earlier[match[1]])

    return _INSERTED.sub(inserted, block)


def numbered(statement: str) -> tuple[str, Sequence[str]]:
    """``statement`` with ``$1``, ``$2``, ... in place of ``%(name)s``, and the names in that order."""
    names = list(dict.fromkeys(_PARAMETER.findall(statement)))
    return _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement), names


@cache
def queries(filename: str) -> Mapping[str, str]:
    """The named blocks of a file in this folder."""
    return named_blocks(resources.files(__package__).joinpath(filename).read_text("utf-8"))


def migrations(database: str) -> Sequence[str]:
    """The migration scripts of ``database``, oldest first: the one at index ``i`` leads to version ``i + 1``.

    Raises:
        ValueError: the files are not numbered 0001, 0002, ... without a gap.
    """
    folder = resources.files(__package__).joinpath("migrations", database)
    files = sorted((file for file in folder.iterdir()), key=lambda file: file.name)
    for number, file in enumerate(files, start=1):
        if not file.name.startswith(f"{number:04}_"):
            raise ValueError(f"migration {number:04} is missing; found {file.name!r} in its place")
    return [file.read_text("utf-8") for file in files]
