"""Where the audio is written: whole or not at all, and over nobody's file unasked."""

import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal
from ttsorch.cli.target import choose_target
from ttsorch.errors import StorageUnavailable, TtsorchError, ValidationError

pytestmark = pytest.mark.anyio


async def audio(*chunks: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    """Chunks, and then perhaps an error."""
    for chunk in chunks:
        yield chunk
    if error is not None:
        raise error


async def test_a_file_holds_all_chunks(folder: Path) -> None:
    """It goes by its whole path, which means the same in any folder."""
    target = choose_target("a.wav", force=False)

    assert await target.write(audio(b"one", b"two"), "wav") == str(folder / "a.wav")
    assert (folder / "a.wav").read_bytes() == b"onetwo"


async def test_force_replaces_a_file_at_once(folder: Path) -> None:
    """Through a link, as any program would."""
    (folder / "old.wav").write_bytes(b"old")
    (folder / "link.wav").symlink_to("old.wav")
    await choose_target("link.wav", force=True).write(audio(b"new"), "wav")

    assert (folder / "old.wav").read_bytes() == b"new"
    assert (folder / "link.wav").is_symlink()


@pytest.mark.parametrize("force", [False, True])
async def test_reading_that_breaks_off_leaves_no_trace(folder: Path, force: bool) -> None:
    """The old file stays; no draft is left."""
    target = choose_target("a.wav", force=force)
    with pytest.raises(StorageUnavailable):
        await target.write(audio(b"one", error=StorageUnavailable()), "wav")

    assert os.listdir(folder) == []


async def test_a_file_that_appears_meanwhile_is_not_overwritten(folder: Path) -> None:
    """The audio stays in the blob store."""
    target = choose_target("a.wav", force=False)
    (folder / "a.wav").write_bytes(b"mine")
    with pytest.raises(ValidationError, match=r"a\.wav exists already"):
        await target.write(audio(b"one"), "wav")

    assert (folder / "a.wav").read_bytes() == b"mine"
    assert os.listdir(folder) == ["a.wav"]


async def test_a_folder_that_goes_away_is_told_in_one_sentence(folder: Path) -> None:
    """With the system's reason."""
    (folder / "gone").mkdir()
    target = choose_target("gone/a.wav", force=False)
    (folder / "gone").rmdir()
    with pytest.raises(TtsorchError, match=r"a\.wav can't be written: No such file") as caught:
        await target.write(audio(b"one"), "wav")

    assert caught.value.code == "out_not_written"


async def test_a_full_device_is_told_in_one_sentence() -> None:
    """A device is written to as it is, without --force."""
    target = choose_target("/dev/full", force=False)
    with pytest.raises(TtsorchError, match=r"/dev/full can't be written: No space left"):
        await target.write(audio(b"one"), "wav")


async def test_a_pipe_with_a_name_is_written_to(folder: Path) -> None:
    """It stays a pipe."""
    os.mkfifo(folder / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((folder / "pipe").read_bytes()))
    reader.start()
    assert await choose_target("pipe", force=False).write(audio(b"one"), "wav")
    reader.join(30)

    assert read == [b"one"]
    assert (folder / "pipe").is_fifo()


async def test_a_terminal_gets_no_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be garbled by it."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(ValidationError, match="not written to a terminal"):
        choose_target("-", force=False)
