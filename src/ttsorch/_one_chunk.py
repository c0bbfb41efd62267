"""Bytes in memory as what a blob store takes in and an audio gate reads."""

from collections.abc import AsyncIterator


class OneChunk(AsyncIterator[bytes]):
    """All in one chunk. Not a generator, since nobody would close one for certain."""

    def __init__(self, data: bytes) -> None:
        self._left = [data] if data else []

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()
