"""Folders below a root, entered one by one so that no link on the way is ever followed.

Everything here blocks and belongs into a worker thread. Folders are descriptors: what was entered can't be
swapped for something else between a check and its use.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ttsorch._keys import is_key
from ttsorch.models import BlobInfo

#: Nobody else may read what is below the root, whatever the umask.
FOLDER_MODE = 0o700
FILE_MODE = 0o600

_PART_PREFIX, _PART_SUFFIX = ".", ".part"
_STALE_SECONDS = 3600.0
# Removed just now, or never there, or something else that has a name like a folder of ours.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def part_name(token: str) -> str:
    """The name of a file that is still being written; no key can have a name like it."""
    return f"{_PART_PREFIX}{token}{_PART_SUFFIX}"


def enter(root: Path, names: Sequence[str], entered: list[int], *, create: bool = False) -> None:
    """Open ``root`` and then one folder below the other, appending each descriptor to ``entered`` at once,
    so that the caller can close them whatever happens."""
    if create:
        _make_root(root)
    entered.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
    for name in names:
        try:
            folder = os.open(name, _ENTER, dir_fd=entered[-1])
        except FileNotFoundError:
            if not create:
                raise
            _make_folder(name, entered[-1])
            folder = os.open(name, _ENTER, dir_fd=entered[-1])
        entered.append(folder)


def leave(entered: list[int]) -> None:
    """Close all that was entered."""
    while entered:
        try:
            os.close(entered.pop())
        except OSError:
            pass  # nothing was written through it, so there is nothing to lose


def remove_empty(names: Sequence[str], entered: Sequence[int]) -> None:
    """Remove those of the folders ``names`` that are empty, the innermost first. A put that has just entered
    one of them finds it gone and makes it again."""
    for name, outer in reversed(list(zip(names, entered, strict=False))):
        try:
            os.rmdir(name, dir_fd=outer)
        except OSError:
            pass  # somebody else's blob is in it


@contextmanager
def inside(root: Path, names: Sequence[str]) -> Iterator[list[int]]:
    """:func:`enter` and :func:`leave`."""
    entered: list[int] = []
    try:
        enter(root, names, entered)
        yield entered
    finally:
        leave(entered)


def scan(root: Path, folder: str) -> tuple[list[BlobInfo], list[str]]:
    """The blobs in ``folder`` itself and the folders in it, by their paths below ``root``; none if there
    is no such folder. Removes what a process that died left behind an hour ago or earlier."""
    blobs: list[BlobInfo] = []
    folders: list[str] = []
    if folder and not _is_folder(folder):
        return blobs, folders
    try:
        with inside(root, folder.split("/") if folder else []) as entered:
            for name in os.listdir(entered[-1]):
                path = f"{folder}/{name}" if folder else name
                if name.startswith(_PART_PREFIX):
                    _remove_if_stale(name, entered[-1])
                elif _is_folder(path):
                    folders.append(path)
                elif is_key(path) and (blob := _blob(path, name, entered[-1])):
                    blobs.append(blob)
    except OSError as error:
        if error.errno not in _NO_FOLDER:
            raise
    return blobs, folders


def remove(root: Path, key: str) -> None:
    """Remove the blob ``key``, if there is one, and the folders that it leaves empty."""
    *folders, name = key.split("/")
    try:
        with inside(root, folders) as entered:
            os.unlink(name, dir_fd=entered[-1])
            remove_empty(folders, entered)
    except FileNotFoundError:
        pass  # harmless, as the protocol promises


def _make_root(root: Path) -> None:
    if root.is_dir():
        return
    _make_root(root.parent)
    outer = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _make_folder(root.name, outer)
        os.fsync(outer)
    finally:
        os.close(outer)


def _make_folder(name: str, outer: int) -> None:
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=outer)
    except FileExistsError:
        pass  # another put was first


def _is_folder(path: str) -> bool:
    return is_key(f"{path}/0.x")


def _blob(path: str, name: str, folder: int) -> BlobInfo | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return BlobInfo(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _remove_if_stale(name: str, folder: int) -> None:
    if not name.endswith(_PART_SUFFIX):
        return
    try:
        modified = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
        if modified < time.time() - _STALE_SECONDS:
            os.unlink(name, dir_fd=folder)
    except OSError:
        pass  # a listing is of use without this, too; the next one tries again
