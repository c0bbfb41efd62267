"""Uploads in a task of their own: whatever happens to who feeds them, they come to an end of their own."""

from collections.abc import AsyncIterator

import anyio
import pytest

from ttsorch.errors import StorageUnavailable
from ttsorch.storage._carrying import BLOCK, Abandoned, Beginning, carry
from ttsorch.testing.blob_store_tools import ProviderWentAway, pieces

pytestmark = pytest.mark.anyio


async def nothing() -> None:
    raise AssertionError("there was nothing to undo")


async def test_hands_over_everything_in_blocks() -> None:
    """Small chunks are gathered, large ones are left as they are."""
    blocks: list[bytes] = []

    async def upload(chunks: AsyncIterator[bytes]) -> None:
        blocks.extend([block async for block in chunks])

    data = bytes(range(256)) * 5000
    await carry(upload, pieces(data, 1000), nothing, patience=1)
    assert b"".join(blocks) == data
    assert all(BLOCK <= len(block) <= BLOCK + 1000 for block in blocks[:-1])


async def test_an_upload_that_fails_early_ends_the_feeding() -> None:
    """Its error comes out, and no more bytes are asked for than were under way."""
    asked = 0

    class Endless(AsyncIterator[bytes]):
        async def __anext__(self) -> bytes:
            nonlocal asked
            asked += 1
            await anyio.lowlevel.checkpoint()
            return bytes(BLOCK)

    async def upload(chunks: AsyncIterator[bytes]) -> None:
        await anext(chunks)
        raise StorageUnavailable(detail="full")

    with pytest.raises(StorageUnavailable) as caught:
        await carry(upload, Endless(), nothing, patience=1)
    assert caught.value.detail == "full"
    assert asked <= 3


async def test_chunks_that_fail_fail_the_upload() -> None:
    """The upload reads a failure and not an end; what the chunks raised comes out."""
    read: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(BLOCK)
        raise ProviderWentAway

    async def upload(chunks: AsyncIterator[bytes]) -> None:
        try:
            read.append(f"{len(await anext(chunks))} bytes")
            await anext(chunks)
        except Abandoned:
            read.append("abandoned")
            raise

    with pytest.raises(ProviderWentAway):
        await carry(upload, chunks(), nothing, patience=1)
    assert read == [f"{BLOCK} bytes", "abandoned"]


async def test_an_upload_that_does_not_end_is_given_up() -> None:
    """A caller that is cancelled waits for as long as its patience lasts, and no longer."""
    began = anyio.Event()

    async def upload(chunks: AsyncIterator[bytes]) -> None:
        began.set()
        await anyio.sleep_forever()

    with anyio.fail_after(5), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(carry_until_cancelled, upload)
            await began.wait()
            scope.cancel()
    assert scope.cancelled_caught


async def carry_until_cancelled(upload: object) -> None:
    assert callable(upload)
    await carry(upload, pieces(b"sound"), nothing, patience=0.05)


async def test_an_undoing_that_fails_is_told_to_the_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The blob stays, and the log says so; the caller hears of its own failure only."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"sound"
        raise ProviderWentAway

    async def upload(chunks: AsyncIterator[bytes]) -> None:
        """Stores without having read to the end."""

    async def undo() -> None:
        raise StorageUnavailable

    with pytest.raises(ProviderWentAway):
        await carry(upload, chunks(), undo, patience=1)
    assert "a blob that nobody wants stays: storage_unavailable" in caplog.text


@pytest.mark.parametrize("size", [0, 1, 999, 1000])
async def test_a_beginning_may_be_all_there_is(size: int) -> None:
    """Up to the limit, the bytes are given at once."""
    beginning = Beginning(pieces(bytes(size), 100), 1000)
    assert await beginning.whole() == bytes(size)
    assert beginning.size == size


async def test_a_beginning_goes_on() -> None:
    """Beyond it, from the first byte to the last."""
    data = bytes(range(256)) * 8000
    beginning = Beginning(pieces(data, 100_000), 1_000_000)
    assert await beginning.whole() is None
    assert b"".join([chunk async for chunk in beginning]) == data
    assert beginning.size == len(data)
