"""The blob store in a folder: what the conformance suite can't know about it."""

import os
import stat
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from ttsorch.errors import BlobExists, BlobNotFound, StorageUnavailable
from ttsorch.protocols import BlobStore
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.blob_store_tools import KEY, OTHER, WAV, ProviderWentAway, keys, pieces, read

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "blobs"


@pytest.fixture
def blobs(root: Path) -> BlobStore:
    return FilesystemBlobStore(root)


def tree(root: Path) -> list[str]:
    """Everything below ``root``, hidden files and folders too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


class TestFilesystemBlobStore(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, root: Path) -> BlobStore:
        return FilesystemBlobStore(root)

    @pytest.fixture
    def raw(self, root: Path) -> RawRead:
        return lambda key: (root / key).read_bytes() if (root / key).exists() else None


async def test_leaves_no_file_or_folder_when_the_chunks_fail(blobs: BlobStore, root: Path) -> None:
    """After a failed put not even the folders that it made are left."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise ProviderWentAway

    with pytest.raises(ProviderWentAway):
        await blobs.put(KEY, chunks(), WAV)
    assert tree(root) == []


async def test_leaves_the_blob_alone_when_the_key_is_taken(blobs: BlobStore, root: Path) -> None:
    """A refused second put leaves one file: the first blob."""
    await blobs.put(KEY, pieces(b"first"), WAV)
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(b"second"), WAV)
    assert [path for path in tree(root) if (root / path).is_file()] == [KEY]


async def test_removes_emptied_folders(blobs: BlobStore, root: Path) -> None:
    """A delete takes the folders along that it emptied, and no others."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    await blobs.put("0f1e2d3c/generation-2/1.wav", pieces(b"sound"), WAV)
    await blobs.delete(KEY)
    assert tree(root) == [
        "0f1e2d3c",
        "0f1e2d3c/generation-2",
        "0f1e2d3c/generation-2/1.wav",
    ]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_nobody_else_may_read(root: Path, umask: int) -> None:
    """Files are 0600 and folders 0700, whatever the umask; also while the blob is being written."""
    modes: dict[str, int] = {}

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        yield b"end"
        modes.update({path: stat.S_IMODE((root / path).lstat().st_mode) for path in tree(root)})

    before = os.umask(umask)
    try:
        await FilesystemBlobStore(root).put(KEY, chunks(), WAV)
    finally:
        os.umask(before)
    modes.update({path: stat.S_IMODE((root / path).lstat().st_mode) for path in tree(root)})
    folders = {"0f1e2d3c", "0f1e2d3c/generation-1"}
    assert len(modes) == 4
    assert {modes[path] for path in folders} == {0o700}
    assert {mode for path, mode in modes.items() if path not in folders} == {0o600}
    assert stat.S_IMODE(root.stat().st_mode) == 0o700  # noqa: ASYNC240 - a temporary folder


async def test_root_may_be_a_link(tmp_path: Path) -> None:
    """The operator may point at the root with a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    await FilesystemBlobStore(tmp_path / "link").put(KEY, pieces(b"sound"), WAV)
    assert (tmp_path / "real" / KEY).read_bytes() == b"sound"


@pytest.mark.parametrize("depth", [0, 1])
async def test_follows_no_link_on_the_way(
    blobs: BlobStore, root: Path, tmp_path: Path, depth: int
) -> None:
    """A folder replaced by a link to elsewhere is neither written to, read, listed nor deleted from."""
    outside = tmp_path / "outside"
    link = root.joinpath(*KEY.split("/")[: depth + 1])
    target = outside.joinpath(*KEY.split("/")[depth + 1 :])
    target.parent.mkdir(parents=True)
    target.write_bytes(b"precious")
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)

    for key in (KEY, OTHER):
        with pytest.raises(StorageUnavailable):
            await blobs.put(key, pieces(b"sound"), WAV)
        with pytest.raises(StorageUnavailable):
            await read(blobs, key)
        with pytest.raises(StorageUnavailable):
            await blobs.delete(key)
    assert await keys(blobs) == []
    assert [path for path in tree(outside) if (outside / path).is_file()] == [
        str(target.relative_to(outside))
    ]
    assert target.read_bytes() == b"precious"


async def test_follows_no_link_in_the_place_of_a_blob(
    blobs: BlobStore, root: Path, tmp_path: Path
) -> None:
    """A link under a blob's name is not read or written through, not listed; a delete removes the link."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).symlink_to(secret)
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(b"sound"), WAV)
    with pytest.raises(StorageUnavailable):
        await read(blobs, KEY)
    assert await keys(blobs) == []
    await blobs.delete(KEY)
    assert secret.read_bytes() == b"precious"
    assert not (root / KEY).is_symlink()


async def test_a_dangling_link_is_not_filled(blobs: BlobStore, root: Path, tmp_path: Path) -> None:
    """A put doesn't create the file that a link under its key points to."""
    (root / KEY).parent.mkdir(parents=True)
    (root / KEY).symlink_to(tmp_path / "new")
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(b"sound"), WAV)
    assert not (tmp_path / "new").exists()


async def test_a_pipe_is_no_blob(blobs: BlobStore, root: Path) -> None:
    """A pipe under a blob's name doesn't hang a reader, and isn't listed."""
    (root / KEY).parent.mkdir(parents=True)
    os.mkfifo(root / KEY)
    with anyio.fail_after(5), pytest.raises(BlobNotFound):
        await read(blobs, KEY)
    assert await keys(blobs) == []


async def test_lists_only_what_are_keys(blobs: BlobStore, root: Path) -> None:
    """Files and folders of others in the root are neither listed nor entered."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    for name in ("README", "notes", "lost+found/deep/1.wav", "0f1e2d3c/Upper/1.wav", "top.wav"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_bytes(b"other")
    assert await keys(blobs) == [KEY]
    assert await keys(blobs, "../") == []
    assert await keys(blobs, "/etc/") == []


async def test_forgets_unfinished_files_after_an_hour(blobs: BlobStore, root: Path) -> None:
    """What a dead process left is never listed, and is removed an hour later; other hidden files stay."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    folder = (root / KEY).parent
    fresh, stale, foreign = folder / ".a1.part", folder / ".b2.part", folder / ".nfs0001"
    for file in (fresh, stale, foreign):
        file.write_bytes(b"half")
    for file in (stale, foreign):
        os.utime(file, (time.time() - 7200,) * 2)
    assert await keys(blobs) == [KEY]
    assert (fresh.exists(), stale.exists(), foreign.exists()) == (True, False, True)


async def test_tells_when_a_blob_was_stored(blobs: BlobStore, root: Path) -> None:
    """A listing has the time of the file, in UTC."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    os.utime(root / KEY, (1_600_000_000,) * 2)
    (info,) = [info async for info in blobs.list("")]
    assert info.modified_at == datetime.fromtimestamp(1_600_000_000, UTC)


async def test_an_unknown_extension_is_octets(blobs: BlobStore) -> None:
    """The content type comes from a fixed table; what isn't in it is application/octet-stream."""
    key = "owner/generation/1.exe"
    await blobs.put(key, pieces(b"sound"), WAV)
    async with blobs.open(key) as stream:
        assert stream.content_type == "application/octet-stream"


async def test_a_file_that_shrinks_is_told(blobs: BlobStore, root: Path) -> None:
    """A reader never takes half a blob for the whole."""
    await blobs.put(KEY, pieces(bytes(600_000), 100_000), WAV)
    async with blobs.open(KEY) as stream:
        await anext(stream.chunks)
        os.truncate(root / KEY, 10)
        with pytest.raises(StorageUnavailable):
            await anext(stream.chunks)


async def test_a_closed_stream_reads_no_more(blobs: BlobStore) -> None:
    """Chunks that are asked for after the stream was closed are an error, not another file's bytes."""
    await blobs.put(KEY, pieces(bytes(600_000), 100_000), WAV)
    async with blobs.open(KEY) as stream:
        pass
    with pytest.raises(StorageUnavailable):
        await anext(stream.chunks)


async def test_reads_in_small_chunks(blobs: BlobStore) -> None:
    """No chunk is over 256 KiB, however large the blob is."""
    await blobs.put(KEY, pieces(bytes(1_000_000), 1_000_000), WAV)
    async with blobs.open(KEY) as stream:
        sizes = [len(chunk) async for chunk in stream.chunks]
    assert max(sizes) == 256 * 1024
    assert sum(sizes) == 1_000_000


@pytest.mark.parametrize("chunk", [1024 * 1024, 16 * 1024, 512])
async def test_memory_does_not_grow_with_the_blob(blobs: BlobStore, chunk: int) -> None:
    """Storing 64 MiB holds a few MiB at most, in large chunks and in small ones."""
    total = 64 * 1024 * 1024 if chunk > 512 else 8 * 1024 * 1024

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(total // chunk):
            yield bytes(chunk)

    tracemalloc.start()
    try:
        await blobs.put(KEY, chunks(), WAV)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


async def test_two_stores_share_a_folder(root: Path) -> None:
    """Deletes that empty a folder and puts into the same one don't fail each other."""
    blobs, others = FilesystemBlobStore(root), FilesystemBlobStore(root)

    async def churn(store: FilesystemBlobStore, number: int) -> None:
        for turn in range(15):
            key = f"owner/generation/{number}-{turn}.wav"
            await store.put(key, pieces(b"sound"), WAV)
            await store.delete(key)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(churn, blobs if number % 2 else others, number)
    assert tree(root) == []
