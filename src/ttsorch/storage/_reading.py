"""What every blob store that reads by itself needs: a range cut to size, and an iterator that can be left."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from anyio.lowlevel import checkpoint

Item = TypeVar("Item")


def span(start: int, end: int | None, size: int) -> tuple[int, int]:
    """The part of ``size`` bytes that a caller who asked for ``start`` to ``end`` gets."""
    begin = min(max(start, 0), size)
    return begin, max(begin, size if end is None else min(end, size))


class Unhurried(AsyncIterator[Item]):
    """``items`` one by one, giving other tasks a turn before each. Unlike an async generator it may be
    left half way without anybody closing it."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = iter(items)

    async def __anext__(self) -> Item:
        await checkpoint()
        for item in self._items:
            return item
        raise StopAsyncIteration
