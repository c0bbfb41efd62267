"""The blob store in a folder, on disks that fail and in processes that die."""

import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.storage.faulty_os import FaultyOs, faulty_os
from ttsorch.errors import BlobNotFound, StorageUnavailable
from ttsorch.storage import _upload
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.testing.blob_store_tools import KEY, OTHER, WAV, keys, pieces, read

DATA = bytes(range(256)) * 12_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(root: Path) -> FilesystemBlobStore:
    return FilesystemBlobStore(root)


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.anyio
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
async def test_a_put_that_fails_anywhere_leaves_nothing(
    blobs: FilesystemBlobStore, root: Path, error: int
) -> None:
    """Each call to the disk fails once in turn: the error is ours and tells no path, and nothing is left."""
    await blobs.put(OTHER, pieces(b"neighbour"), WAV)
    await blobs.delete(OTHER)
    files = open_files()
    for fail_at in itertools.count(1):
        failure: StorageUnavailable | None = None
        with faulty_os(fail_at, error) as disk:
            try:
                await blobs.put(KEY, pieces(DATA, 100_000), WAV)
            except StorageUnavailable as caught:
                failure = caught
        assert open_files() == files
        if failure is None:
            assert (root / KEY).read_bytes() == DATA
            await blobs.delete(KEY)
        else:
            assert failure.detail == errno.errorcode[error]
            assert "secret" not in f"{failure.message} {failure.detail}"
        assert tree(root) == []
        if not disk.failed:
            break
    assert {"open", "mkdir", "write", "fsync", "fstat", "close", "link", "unlink"} <= set(
        disk.calls
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "can't be written to"),
        (errno.EACCES, "may not use"),
        (errno.EIO, "temporarily unavailable"),
    ],
)
async def test_says_what_is_wrong(blobs: FilesystemBlobStore, error: int, words: str) -> None:
    """An operator can read from the message what to do."""
    with faulty_os(1, error), pytest.raises(StorageUnavailable, match=words):
        await blobs.put(KEY, pieces(DATA), WAV)


@pytest.mark.anyio
@pytest.mark.parametrize("verb", ["read", "list", "delete"])
async def test_every_other_verb_tells_a_failing_disk(blobs: FilesystemBlobStore, verb: str) -> None:
    """Each call to the disk fails once in turn: the error is ours, and no file stays open."""
    verbs: dict[str, Callable[[], Awaitable[object]]] = {
        "read": lambda: read(blobs, KEY),
        "list": lambda: keys(blobs),
        "delete": lambda: blobs.delete(KEY),
    }
    await blobs.put(KEY, pieces(b"sound"), WAV)
    files = open_files()
    failures = 0
    for fail_at in itertools.count(1):
        with faulty_os(fail_at) as disk:
            try:
                await verbs[verb]()
            except StorageUnavailable:
                failures += 1
        assert open_files() == files
        if not disk.failed:
            break
    assert failures >= 4


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["listdir", "stat"])
async def test_a_listing_passes_over_what_vanishes(blobs: FilesystemBlobStore, call: str) -> None:
    """A blob or folder that is deleted while it is being listed is left out, and nothing more."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    with faulty_os(10_000) as disk:
        assert await keys(blobs) == [KEY]
    with faulty_os(disk.calls.index(call) + 1, errno.ENOENT):
        assert await keys(blobs) == []
    assert await keys(blobs) == [KEY]


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["stat", "unlink"])
async def test_a_listing_does_without_cleaning_up(
    blobs: FilesystemBlobStore, root: Path, call: str
) -> None:
    """A left-over that can't be removed doesn't get in the way of a listing."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    stale = root / ".a1.part"
    stale.write_bytes(b"half")
    os.utime(stale, (0, 0))
    with faulty_os(10_000) as disk:
        await keys(blobs)
    stale.write_bytes(b"half")
    os.utime(stale, (0, 0))
    with faulty_os(disk.calls.index(call) + 1, errno.EACCES):
        assert await keys(blobs) == [KEY]
    assert stale.exists()


@pytest.mark.anyio
async def test_tells_the_first_error_when_the_disk_is_gone(
    blobs: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cleaning up on a disk that fails at everything doesn't hide why it had to be cleaned up."""

    class Gone(FaultyOs):
        def close(self, file: int) -> None:
            os.close(file)
            raise OSError(errno.EIO, "gone")

        def write(self, file: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "full")

        def unlink(self, name: str, *, dir_fd: int) -> None:
            raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(_upload, "os", Gone(0, 0))
    files = open_files()
    with pytest.raises(StorageUnavailable, match="disk is full"):
        await blobs.put(KEY, pieces(DATA), WAV)
    assert open_files() == files


@pytest.mark.anyio
async def test_writes_all_when_the_disk_takes_little_at_a_time(
    blobs: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write may take only some of the bytes; the rest follow."""

    class ShortWrites(FaultyOs):
        def write(self, file: int, data: memoryview) -> int:
            return os.write(file, data[:777])

    monkeypatch.setattr(_upload, "os", ShortWrites(0, 0))
    await blobs.put(KEY, pieces(DATA[:50_000], 10_000), WAV)
    assert await read(blobs, KEY) == DATA[:50_000]


@pytest.mark.anyio
async def test_is_on_the_disk_before_it_has_a_name(blobs: FilesystemBlobStore, root: Path) -> None:
    """The file is synced before it is published, and then every folder up to the root."""
    with faulty_os(10_000) as disk:
        await blobs.put(KEY, pieces(DATA, 500_000), WAV)
    effects = [call for call in disk.calls if call in ("write", "fsync", "link", "unlink")]
    written = effects.count("write")
    # The first sync is that of the folder around the root, which is new.
    assert effects == ["fsync", *["write"] * written, "fsync", "link", "unlink", *["fsync"] * 3]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of 1 MiB, if this process is allowed to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.anyio
async def test_a_full_disk(tmp_path: Path, small_disk: Path | None) -> None:
    """A disk that fills up half way is told, loses nothing that was there, and is used again after."""
    root = small_disk or tmp_path
    blobs = FilesystemBlobStore(root / "blobs")
    await blobs.put(OTHER, pieces(b"neighbour"), WAV)
    if small_disk:
        with pytest.raises(StorageUnavailable, match="disk is full"):
            await blobs.put(KEY, pieces(DATA, 100_000), WAV)
    else:
        with faulty_os(13, errno.ENOSPC), pytest.raises(StorageUnavailable, match="disk is full"):
            await blobs.put(KEY, pieces(DATA, 100_000), WAV)
    assert await keys(blobs) == [OTHER]
    await blobs.put(KEY, pieces(DATA[:100_000]), WAV)
    assert await read(blobs, OTHER) == b"neighbour"


VICTIM = """
import sys, anyio
from ttsorch.storage.filesystem import FilesystemBlobStore

async def chunks():
    for _ in range(3):
        yield bytes(1024 * 1024)
    print("half way", flush=True)
    await anyio.sleep_forever()

anyio.run(FilesystemBlobStore(sys.argv[1]).put, sys.argv[2], chunks(), "audio/wav")
"""


@pytest.mark.anyio
async def test_a_process_that_is_killed_leaves_no_blob(
    blobs: FilesystemBlobStore, root: Path
) -> None:
    """After kill -9 in the middle of a put there is nothing to see, and the key is free."""
    command = [sys.executable, "-c", VICTIM, str(root), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:  # noqa: ASYNC220
        assert victim.stdout
        assert victim.stdout.readline() == "half way\n"
        victim.send_signal(signal.SIGKILL)
    assert await keys(blobs) == []
    with pytest.raises(BlobNotFound):
        await read(blobs, KEY)
    await blobs.put(KEY, pieces(b"again"), WAV)
    assert await read(blobs, KEY) == b"again"


@pytest.mark.anyio
async def test_gives_up_when_folders_vanish_again_and_again(
    blobs: FilesystemBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is removed each time before a file can be made in it ends in an error, not in a loop."""

    class Vanishing(FaultyOs):
        def open(self, *args: object, **options: object) -> int:
            raise FileNotFoundError(errno.ENOENT, "gone")

    monkeypatch.setattr(_upload, "os", Vanishing(0, 0))
    with pytest.raises(StorageUnavailable):
        await blobs.put(KEY, pieces(DATA), WAV)


@pytest.mark.anyio
async def test_makes_a_folder_again_that_was_just_removed(
    blobs: FilesystemBlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delete may empty and remove the folder between a put's entering it and its first file there."""

    class RemovedOnce(FaultyOs):
        def open(self, name: str, flags: int, mode: int, *, dir_fd: int) -> int:
            if not self.calls:
                self.calls.append("rmdir")
                (root / KEY).parent.rmdir()
            return os.open(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(_upload, "os", RemovedOnce(0, 0))
    await blobs.put(KEY, pieces(DATA), WAV)
    assert await read(blobs, KEY) == DATA
