"""The blob store in a folder, cancelled by asyncio itself, which waits for no thread and heeds no shield."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from ttsorch.errors import StorageUnavailable
from ttsorch.storage import _opened_file, _upload
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.testing.blob_store_tools import KEY, WAV, pieces, read

DATA = bytes(range(256)) * 12_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Gate:
    """Holds up one call to the disk, and says when it is reached."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __getattr__(self, name: str) -> object:
        real: object = getattr(os, name)
        if name != self._name or not callable(real):
            return real

        def call(*args: object, **options: object) -> object:
            result: object = real(*args, **options)
            self.reached.set()
            assert self.opened.wait(10)
            return result

        return call


@pytest.mark.parametrize("call", ["open", "write", "fsync", "link", "unlink"])
@pytest.mark.parametrize("cancels", [1, 2])
def test_nothing_is_left_when_asyncio_cancels_the_task(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, cancels: int
) -> None:
    """Task.cancel() doesn't wait for a thread, as anyio's scopes do; the put still cleans up behind it."""
    disk = Gate(call)
    monkeypatch.setattr(_upload, "os", disk)

    async def main() -> None:
        put = asyncio.create_task(FilesystemBlobStore(root).put(KEY, pieces(DATA, 1_000_000), WAV))
        await asyncio.to_thread(disk.reached.wait, 10)
        for _ in range(cancels):
            put.cancel()
            await asyncio.sleep(0)
            if cancels == 2:
                disk.opened.set()
        disk.opened.set()
        with pytest.raises(asyncio.CancelledError):
            await put

    files = open_files()
    asyncio.run(main())
    assert tree(root) == []
    assert open_files() == files


def test_no_file_stays_open_when_asyncio_cancels_a_reader(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that is cancelled while its thread opens the file doesn't lose the descriptor."""
    disk = Gate("open")

    async def main() -> None:
        blobs = FilesystemBlobStore(root)
        await blobs.put(KEY, pieces(b"sound"), WAV)
        monkeypatch.setattr(_opened_file, "os", disk)
        reading = asyncio.create_task(read(blobs, KEY))
        await asyncio.to_thread(disk.reached.wait, 10)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        disk.opened.set()

    files = open_files()
    asyncio.run(main())
    assert open_files() == files


def test_an_abandoned_put_that_has_not_begun_does_nothing(root: Path) -> None:
    """A thread that gets its turn only after the put was given up touches nothing."""
    upload = _upload.Upload(root, KEY)
    upload.discard()
    for step in (upload.begin, upload.publish, lambda: upload.add([b"late"])):
        with pytest.raises(StorageUnavailable):
            step()
    assert not root.exists()
