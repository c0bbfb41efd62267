"""Blob stores by URL."""

from pathlib import Path

import pytest

from ttsorch.errors import ConfigurationError
from ttsorch.storage import open_blob_store
from ttsorch.storage.filesystem import FilesystemBlobStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.testing.blob_store_tools import KEY, pieces


@pytest.mark.parametrize("url", ["memory://", "memory:"])
def test_memory(url: str) -> None:
    """``memory://`` is a store in memory."""
    assert isinstance(open_blob_store(url), MemoryBlobStore)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file://{cwd}/blobs", "blobs"),
        ("file://localhost{cwd}/blobs", "blobs"),
        ("file:{cwd}/blobs", "blobs"),
        ("file:blobs", "blobs"),
        ("file:data/blobs", "data/blobs"),
        ("file:my%20blobs", "my blobs"),
    ],
)
async def test_folder(
    url: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ``file`` URL is a folder, absolute or relative to the working directory of that moment."""
    monkeypatch.chdir(tmp_path)
    blobs = open_blob_store(url.format(cwd=tmp_path))
    assert isinstance(blobs, FilesystemBlobStore)
    monkeypatch.chdir("/")
    await blobs.put(KEY, pieces(b"sound"), "audio/wav")
    assert (tmp_path / folder / KEY).read_bytes() == b"sound"


def test_opening_touches_nothing(tmp_path: Path) -> None:
    """A store that is only named creates no folder yet."""
    open_blob_store(f"file://{tmp_path}/blobs")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "blobs",
        "/data/blobs",
        "file:",
        "file://",
        "file://data/blobs",
        "file:///data?key=secret",
        "file:///data#secret",
        "file:///data%00secret",
        "memory:///path",
        "memory://host",
        "http://[secret",
    ],
)
def test_refuses_any_other_url(url: str) -> None:
    """Any other URL is refused with the forms that are expected, and without being quoted."""
    with pytest.raises(ConfigurationError, match="file:///absolute/folder") as caught:
        open_blob_store(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
