"""What the conformance suite for blob stores is made with, and what tests of one store may use as well."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from ttsorch.protocols import BlobStore

Result = TypeVar("Result")

#: The bytes that are stored under a key, None if nothing is; not through the store.
RawRead: TypeAlias = Callable[[str], bytes | None]

KEY = "0f1e2d3c/generation-1/1.wav"
OTHER = "0f1e2d3c/generation-1/2.wav"
WAV = "audio/wav"


class ProviderWentAway(Exception):
    """What a chunk iterator raises in these tests; no store knows it."""


class pieces(AsyncIterator[bytes]):  # noqa: N801 - reads like the generator it would be
    """``data`` in chunks of ``size`` bytes, the last one shorter; other tasks get a turn before each.

    Not a generator, since a store that fails leaves it half read, and trio complains of such ones.
    """

    def __init__(self, data: bytes, size: int = 1000) -> None:
        self._chunks = (data[at : at + size] for at in range(0, len(data), size))

    async def __anext__(self) -> bytes:
        await checkpoint()
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


async def read(blobs: BlobStore, key: str, *, start: int = 0, end: int | None = None) -> bytes:
    """All bytes of a range of a blob."""
    async with blobs.open(key, start=start, end=end) as stream:
        return b"".join([chunk async for chunk in stream.chunks])


async def keys(blobs: BlobStore, prefix: str = "") -> list[str]:
    """The keys that a listing gives, sorted."""
    return sorted([info.key async for info in blobs.list(prefix)])


class CancelledAt(Generic[Result]):
    """``work``, with ``scope`` cancelled at the moment that it stops to wait for the ``number``-th time.

    ``reached`` says whether it stopped that often.
    """

    def __init__(self, work: Awaitable[Result], scope: anyio.CancelScope, number: int) -> None:
        self._work = work
        self._scope = scope
        self._left = number
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Result]:
        steps = self._work.__await__()
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                waiting_for = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as done:
                result: Result = done.value
                return result
            self._left -= 1
            if not self._left:
                self.reached = True
                self._scope.cancel()
            answer = error = None
            try:
                answer = yield waiting_for
            except BaseException as raised:  # noqa: BLE001 - handed on to the work at once
                error = raised
