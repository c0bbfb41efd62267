"""The conformance suite for blob stores: opening, deleting, listing, and which keys there are."""

import hashlib
from collections.abc import AsyncIterator

import anyio
import pytest

from ttsorch.errors import BlobNotFound, ValidationError
from ttsorch.protocols import BlobStore
from ttsorch.testing.blob_store_tools import KEY, OTHER, WAV, RawRead, keys, pieces, read

BAD_KEYS = [
    "",
    "a.wav",
    "/a/b/1.wav",
    "a/../b/1.wav",
    "../a/1.wav",
    "a//1.wav",
    "a/./1.wav",
    "a/b/1",
    "a/b/.wav",
    "a/b/1.wav/",
    "a/b/1.wav\n",
    "a/b/1\0.wav",
    "a\\b/1.wav",
    "A/b/1.wav",
    "a/b/1.WAV",
    "a/%2e%2e/1.wav",
    "a/b c/1.wav",
    "ä/b/1.wav",
    "a/b/c/d/e/f/1.wav",
    f"{'a' * 65}/b/1.wav",
    "~/b/1.wav",
]


class BlobReads:
    """What every method but put promises."""

    # --- open -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (0, 4, b"0123"),
            (3, 4, b"3"),
            (3, 3, b""),
            (9, 10, b"9"),
            (8, 99, b"89"),
            (10, None, b""),
            (10, 20, b""),
            (99, None, b""),
        ],
    )
    async def test_reads_a_range(
        self, blobs: BlobStore, start: int, end: int | None, expected: bytes
    ) -> None:
        """A range begins at ``start``, ends before ``end``, and is cut at the end of the blob."""
        await blobs.put(KEY, pieces(b"0123456789"), WAV)
        assert await read(blobs, KEY, start=start, end=end) == expected

    async def test_reads_a_range_of_a_large_blob(self, blobs: BlobStore) -> None:
        """A range over several of the store's own chunks is exact at both ends."""
        data = hashlib.shake_128(b"range").digest(1_500_000)
        await blobs.put(KEY, pieces(data, 100_000), WAV)
        assert await read(blobs, KEY, start=1, end=1_400_001) == data[1:1_400_001]

    async def test_tells_the_whole_size_with_a_range(self, blobs: BlobStore) -> None:
        """``size`` is that of the whole blob, which a Content-Range needs."""
        await blobs.put(KEY, pieces(b"0123456789"), WAV)
        async with blobs.open(KEY, start=2, end=4) as stream:
            assert stream.size == 10

    @pytest.mark.parametrize(
        ("extension", "content_type"),
        [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("ogg", "audio/ogg"), ("m4a", "audio/mp4")],
    )
    async def test_tells_the_content_type(
        self, blobs: BlobStore, extension: str, content_type: str
    ) -> None:
        """A blob is opened with the content type that it was stored with."""
        key = f"owner/generation/1.{extension}"
        await blobs.put(key, pieces(b"sound"), content_type)
        async with blobs.open(key) as stream:
            assert stream.content_type == content_type

    async def test_may_be_left_half_way(self, blobs: BlobStore) -> None:
        """A reader that goes away after the first chunk leaves nothing behind and disturbs nobody."""
        data = bytes(2_000_000)
        await blobs.put(KEY, pieces(data, 500_000), WAV)
        async with blobs.open(KEY) as stream:
            assert await anext(stream.chunks)
        assert await read(blobs, KEY) == data

    async def test_serves_many_readers_at_once(self, blobs: BlobStore) -> None:
        """Readers of one blob each get all of it."""
        data = hashlib.shake_128(b"readers").digest(700_000)
        await blobs.put(KEY, pieces(data, 100_000), WAV)
        got: list[bytes] = []

        async def reader() -> None:
            got.append(await read(blobs, KEY))

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(reader)
        assert got == [data] * 10

    async def test_raises_when_there_is_nothing_to_open(self, blobs: BlobStore) -> None:
        """A missing blob is told on entering, whether or not its folder is there."""
        with pytest.raises(BlobNotFound):
            await read(blobs, KEY)
        await blobs.put(KEY, pieces(b"sound"), WAV)
        with pytest.raises(BlobNotFound):
            await read(blobs, OTHER)

    # --- delete ---------------------------------------------------------------------------------------

    async def test_deletes_one_blob(self, blobs: BlobStore, raw: RawRead) -> None:
        """A deleted blob is gone for good; its neighbour stays."""
        await blobs.put(KEY, pieces(b"sound"), WAV)
        await blobs.put(OTHER, pieces(b"other"), WAV)
        await blobs.delete(KEY)
        assert raw(KEY) is None
        assert raw(OTHER) == b"other"
        assert await keys(blobs) == [OTHER]
        with pytest.raises(BlobNotFound):
            await read(blobs, KEY)

    async def test_deletes_what_is_not_there(self, blobs: BlobStore) -> None:
        """Deleting twice, or what never was, is harmless."""
        await blobs.delete(KEY)
        await blobs.put(KEY, pieces(b"sound"), WAV)
        await blobs.delete(KEY)
        await blobs.delete(KEY)
        assert await keys(blobs) == []

    # --- list -----------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("", ["u1/g1/1.wav", "u1/g1/10.wav", "u1/g10/1.wav", "u10/g1/1.wav"]),
            ("u1", ["u1/g1/1.wav", "u1/g1/10.wav", "u1/g10/1.wav", "u10/g1/1.wav"]),
            ("u1/", ["u1/g1/1.wav", "u1/g1/10.wav", "u1/g10/1.wav"]),
            ("u1/g1", ["u1/g1/1.wav", "u1/g1/10.wav", "u1/g10/1.wav"]),
            ("u1/g1/", ["u1/g1/1.wav", "u1/g1/10.wav"]),
            ("u1/g1/1.", ["u1/g1/1.wav"]),
            ("u1/g1/1.wav", ["u1/g1/1.wav"]),
            ("u1/g1/1.wavy", []),
            ("u2/", []),
            ("g1", []),
        ],
    )
    async def test_lists_by_prefix(
        self, blobs: BlobStore, prefix: str, expected: list[str]
    ) -> None:
        """A listing has the keys that begin with the prefix and no look-alikes."""
        for key in ("u1/g1/1.wav", "u1/g1/10.wav", "u1/g10/1.wav", "u10/g1/1.wav"):
            await blobs.put(key, pieces(b"sound"), WAV)
        assert await keys(blobs, prefix) == expected

    async def test_lists_what_a_put_told(self, blobs: BlobStore) -> None:
        """A listing gives the same size as the put did, and a time that is timezone-aware."""
        put = await blobs.put(KEY, pieces(b"sound"), WAV)
        (listed,) = [info async for info in blobs.list("")]
        assert (listed.key, listed.size) == (put.key, put.size)
        assert listed.modified_at.tzinfo is not None

    async def test_lists_an_empty_store(self, blobs: BlobStore) -> None:
        """A store that nothing was ever put into has an empty listing."""
        assert await keys(blobs) == []

    async def test_listing_may_be_left_half_way(self, blobs: BlobStore) -> None:
        """Whoever has seen enough of a listing can walk away from it."""
        for number in range(3):
            await blobs.put(f"owner/generation/{number}.wav", pieces(b"sound"), WAV)
        async for info in blobs.list("owner/"):
            assert info.size == 5
            break

    async def test_may_delete_while_listing(self, blobs: BlobStore) -> None:
        """A collector deletes blobs as it meets them; each is met once."""
        for number in range(5):
            await blobs.put(f"owner/gen-{number}/1.wav", pieces(b"sound"), WAV)
        met = []
        async for info in blobs.list(""):
            met.append(info.key)
            await blobs.delete(info.key)
        assert sorted(met) == [f"owner/gen-{number}/1.wav" for number in range(5)]
        assert await keys(blobs) == []

    # --- keys, URLs, closing --------------------------------------------------------------------------

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_refuses_a_key_before_anything_is_touched(
        self, blobs: BlobStore, key: str
    ) -> None:
        """A key of another form is refused by every method; a put doesn't even ask for a chunk."""
        asked = False

        async def chunks() -> AsyncIterator[bytes]:
            nonlocal asked
            asked = True
            yield b"sound"

        with pytest.raises(ValidationError):
            await blobs.put(key, chunks(), WAV)
        with pytest.raises(ValidationError):
            await read(blobs, key)
        with pytest.raises(ValidationError):
            await blobs.delete(key)
        with pytest.raises(ValidationError):
            await blobs.url(key, expires_in=60)
        assert not asked
        assert await keys(blobs) == []

    async def test_gives_a_url_or_none(self, blobs: BlobStore) -> None:
        """A store that can't make URLs says so with None; one that can gives an absolute one."""
        await blobs.put(KEY, pieces(b"sound"), WAV)
        url = await blobs.url(KEY, expires_in=60)
        assert url is None or "://" in url

    async def test_closes_twice(self, blobs: BlobStore) -> None:
        """Closing again is harmless."""
        await blobs.put(KEY, pieces(b"sound"), WAV)
        await blobs.aclose()
        await blobs.aclose()
