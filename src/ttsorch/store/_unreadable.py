"""Rows that this version can't read: they are damaged, or a newer version wrote what this one doesn't know.

None of them may hide its neighbours, and none of them is missing: a listing leaves it out, whoever asks for
it by its id is told, and an operator finds its id in the log. Only an error's name is logged beside that: its
message may quote what the row holds.
"""

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TypeVar

from ttsorch.errors import RowUnreadable
from ttsorch.models import Job
from ttsorch.store._rows import Row

logger = logging.getLogger("ttsorch")

#: What comes of reading what nobody wrote so: no JSON, another shape, a word or a time that doesn't exist.
_TROUBLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
#: A listing that left something out looks for what is behind it in ever larger pages, up to this one.
_LARGEST_PAGE = 1000

Record = TypeVar("Record")


def read_or_none(row: Row, read: Callable[[Row], Job]) -> Job | None:
    """The job of a task's row that is due, or None where it can't be read: then it is put aside."""
    try:
        return read(row)
    except _TROUBLE as error:
        name = type(error).__name__
        logger.warning("task %s can't be read (%s) and is put aside", row["id"], name)
        return None


def read_one(row: Row, read: Callable[[Row], Record], kind: str, *, id: str = "id") -> Record:
    """What somebody asked for.

    Raises:
        RowUnreadable: it is there, and can't be read.
    """
    try:
        return read(row)
    except _TROUBLE as error:
        raise unreadable(kind, row[id], error) from None  # its text may quote what the row holds


def read_all(
    rows: Iterable[Row], read: Callable[[Row], Record], kind: str, *, id: str = "id"
) -> list[Record]:
    """Those that can be read, in their order."""
    records = []
    for row in rows:
        try:
            records.append(read(row))
        except _TROUBLE as error:
            unreadable(kind, row[id], error)
    return records


def unreadable(kind: str, id: object, error: Exception | None = None) -> RowUnreadable:
    """What to raise for a row of this kind; the operator is told, once."""
    why = type(error).__name__ if error else "unknown"
    _tell(kind, str(id), why)
    return RowUnreadable(detail=f"{kind} {id}: {why}")


def larger(page: int) -> int:
    """How many rows to look at after a page that did not bring what was wanted."""
    return max(page, min(4 * page, _LARGEST_PAGE))


@lru_cache(maxsize=1000)
def _tell(kind: str, id: str, why: str) -> None:
    """Cached to be done once, not with every poll and every listing until somebody has mended the row."""
    logger.error("%s %s can't be read (%s)", kind, id, why)
