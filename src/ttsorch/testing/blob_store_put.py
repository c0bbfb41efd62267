"""The conformance suite for blob stores: whole or nothing, and never twice."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from anyio.lowlevel import checkpoint

from ttsorch.errors import BlobExists, BlobNotFound
from ttsorch.models import BlobInfo
from ttsorch.protocols import BlobStore
from ttsorch.testing.blob_store_tools import (
    KEY,
    WAV,
    CancelledAt,
    ProviderWentAway,
    RawRead,
    keys,
    pieces,
    read,
)


class BlobPuts:
    """What :meth:`~ttsorch.protocols.BlobStore.put` promises."""

    @pytest.mark.parametrize("chunk_size", [1, 7, 1000, 5000])
    async def test_stores_the_bytes_that_came(
        self, blobs: BlobStore, raw: RawRead, chunk_size: int
    ) -> None:
        """A blob is its chunks, one after the other, and its information says so."""
        data = bytes(range(256)) * 10
        before = datetime.now(UTC) - timedelta(days=1)
        info = await blobs.put(KEY, pieces(data, chunk_size), WAV)
        assert raw(KEY) == data
        assert (info.key, info.size) == (KEY, len(data))
        assert info.modified_at > before

    async def test_stores_a_large_blob(self, blobs: BlobStore, raw: RawRead) -> None:
        """8 MiB in chunks of an odd size arrive as they were sent, and are read back the same."""
        data = hashlib.shake_128(b"large").digest(8 * 1024 * 1024)
        await blobs.put(KEY, pieces(data, 65_537), WAV)
        assert raw(KEY) == data
        assert await read(blobs, KEY) == data

    async def test_stores_an_empty_blob(self, blobs: BlobStore, raw: RawRead) -> None:
        """No chunks at all make an empty blob, which is not the same as none."""
        info = await blobs.put(KEY, pieces(b""), WAV)
        assert info.size == 0
        assert raw(KEY) == b""
        assert await read(blobs, KEY) == b""
        assert await keys(blobs) == [KEY]

    async def test_passes_over_empty_chunks(self, blobs: BlobStore, raw: RawRead) -> None:
        """An empty chunk between others adds nothing and ends nothing."""

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in (b"", b"one", b"", b"two", b""):
                yield chunk

        await blobs.put(KEY, chunks(), WAV)
        assert raw(KEY) == b"onetwo"

    async def test_shows_nothing_before_the_end(self, blobs: BlobStore, raw: RawRead) -> None:
        """While chunks still come, there is no blob: not to read, not in a listing."""
        seen: list[object] = []

        async def chunks() -> AsyncIterator[bytes]:
            yield bytes(3_000_000)
            seen.extend([raw(KEY), await keys(blobs)])
            with pytest.raises(BlobNotFound):
                await read(blobs, KEY)
            yield b"end"

        await blobs.put(KEY, chunks(), WAV)
        assert seen == [None, []]

    @pytest.mark.parametrize("good_chunks", [0, 1, 3])
    async def test_stores_nothing_when_the_chunks_fail(
        self, blobs: BlobStore, raw: RawRead, good_chunks: int
    ) -> None:
        """What the iterator raises comes out unchanged, no trace is left, and the key is still free."""

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(good_chunks):
                yield bytes(600_000)
            raise ProviderWentAway

        with pytest.raises(ProviderWentAway):
            await blobs.put(KEY, chunks(), WAV)
        assert raw(KEY) is None
        assert await keys(blobs) == []
        await blobs.put(KEY, pieces(b"whole"), WAV)
        assert raw(KEY) == b"whole"

    async def test_is_whole_or_absent_wherever_it_is_cancelled(
        self, blobs: BlobStore, raw: RawRead
    ) -> None:
        """Cancelled at each of its awaits in turn, a put leaves no trace, unless it went through."""
        data = bytes(range(256)) * 12
        number = 0
        while True:
            number += 1
            info: BlobInfo | None = None
            with anyio.CancelScope() as scope:
                put = CancelledAt(blobs.put(KEY, pieces(data), WAV), scope, number)
                info = await put
            assert raw(KEY) == (None if info is None else data)
            assert await keys(blobs) == ([] if info is None else [KEY])
            await blobs.delete(KEY)
            if not put.reached:
                break
        assert number > 3

    async def test_stores_nothing_when_cancelled_by_its_own_chunks(
        self, blobs: BlobStore, raw: RawRead
    ) -> None:
        """A cancel that comes from within the iterator ends the put like any other."""

        async def chunks() -> AsyncIterator[bytes]:
            yield bytes(2_000_000)
            scope.cancel()
            await checkpoint()
            yield b"never"

        with anyio.CancelScope() as scope:
            await blobs.put(KEY, chunks(), WAV)
        assert scope.cancelled_caught
        assert raw(KEY) is None
        assert await keys(blobs) == []

    async def test_never_rewrites_a_blob(self, blobs: BlobStore, raw: RawRead) -> None:
        """A second put of a key raises BlobExists and changes nothing."""
        await blobs.put(KEY, pieces(b"first"), WAV)
        with pytest.raises(BlobExists):
            await blobs.put(KEY, pieces(b"second, and longer"), WAV)
        assert raw(KEY) == b"first"
        assert await keys(blobs) == [KEY]

    async def test_lets_one_of_twenty_puts_win(self, blobs: BlobStore, raw: RawRead) -> None:
        """Of many puts of one key at once exactly one succeeds, and the blob is that one's."""
        won: list[int] = []
        lost: list[int] = []

        async def put(number: int) -> None:
            try:
                await blobs.put(KEY, pieces(b"%02d" % number * 2000), WAV)
                won.append(number)
            except BlobExists:
                lost.append(number)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(put, number)
        assert (len(won), len(lost)) == (1, 19)
        assert raw(KEY) == b"%02d" % won[0] * 2000
        assert await keys(blobs) == [KEY]

    async def test_keeps_blobs_of_one_folder_apart(self, blobs: BlobStore, raw: RawRead) -> None:
        """Puts of different keys at once don't disturb each other, even when some of them fail."""

        async def failing() -> AsyncIterator[bytes]:
            yield b"half"
            raise ProviderWentAway

        async def fail(number: int) -> None:
            with pytest.raises(ProviderWentAway):
                await blobs.put(f"owner/gone-{number}/1.wav", failing(), WAV)

        async def put(number: int) -> None:
            await blobs.put(f"owner/gen-{number}/1.wav", pieces(b"%d" % number), WAV)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(fail, number)
                tasks.start_soon(put, number)
        assert [raw(f"owner/gen-{number}/1.wav") for number in range(10)] == [
            b"%d" % number for number in range(10)
        ]
        assert len(await keys(blobs)) == 10
