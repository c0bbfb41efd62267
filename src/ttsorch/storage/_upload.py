"""One blob on its way into a folder: invisible until it is whole and safe on the disk."""

import os
import secrets
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ttsorch.errors import BlobExists, StorageUnavailable
from ttsorch.models import BlobInfo
from ttsorch.storage._folders import FILE_MODE, enter, leave, part_name, remove_empty

# Each try is lost only to a put or delete that emptied the same folder at the same moment.
_TRIES = 16
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Upload:
    """Begin, add, publish, close; or discard at any point before that. Every method but close blocks.

    One lock is held through each method: asyncio can abandon a put while a thread still works for it, and
    then :meth:`discard` has to come after that work, and anything later has to do nothing.
    """

    def __init__(self, root: Path, key: str) -> None:
        *self._folders, self._name = key.split("/")
        self._root = root
        self._key = key
        self._lock = threading.Lock()
        self._part = part_name(secrets.token_hex(8))
        self._entered: list[int] = []
        self._file: int | None = None
        self._published = False
        self._discarded = False

    def begin(self) -> None:
        """Create the file to write to, in the folder where the blob is going to be."""
        with self._lock:
            if self._discarded:
                raise _abandoned()
            for _ in range(_TRIES - 1):
                try:
                    self._create()
                except FileNotFoundError:
                    leave(self._entered)
                else:
                    return
            self._create()

    def add(self, chunks: Sequence[bytes]) -> None:
        """Append all of ``chunks``. They are written one by one: joining them costs more than the calls."""
        with self._lock:
            file = self._writable()
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(file, view) :]

    def publish(self) -> BlobInfo:
        """Give the blob its name, once it can no longer be lost.

        Raises:
            BlobExists: the name is taken.
        """
        with self._lock:
            info = self._flush()
            folder = self._entered[-1]
            try:
                os.link(
                    self._part,
                    self._name,
                    src_dir_fd=folder,
                    dst_dir_fd=folder,
                    follow_symlinks=False,
                )
            except FileExistsError:
                raise BlobExists from None
            self._published = True
            os.unlink(self._part, dir_fd=folder)
            # All the way up: a folder on the way may be new, whoever made it.
            for entered in reversed(self._entered):
                os.fsync(entered)
            return info

    def close(self) -> None:
        """Let go of a blob that is published. Until then it can still be discarded. Doesn't block."""
        leave(self._entered)

    def discard(self) -> None:
        """Leave no trace, not even of a blob that was published a moment ago. Harmless when repeated."""
        with self._lock:
            self._discarded = True
            self._close_file()
            if self._entered:
                self._unlink(self._part)
                if self._published:
                    self._unlink(self._name)
                remove_empty(self._folders, self._entered)
                leave(self._entered)

    def _create(self) -> None:
        enter(self._root, self._folders, self._entered, create=True)
        self._file = os.open(self._part, _CREATE, FILE_MODE, dir_fd=self._entered[-1])

    def _writable(self) -> int:
        if self._file is None:
            raise _abandoned()
        return self._file

    def _flush(self) -> BlobInfo:
        file = self._writable()
        os.fsync(file)
        status = os.fstat(file)
        self._file = None
        os.close(file)
        return BlobInfo(self._key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                os.close(file)
            except OSError:
                pass  # what it holds is thrown away

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._entered[-1])
        except OSError:
            pass  # not there; or the disk is gone, and a later listing removes it


def _abandoned() -> StorageUnavailable:
    """For nobody to see: whoever waited for this thread has been cancelled."""
    return StorageUnavailable(detail="this put was abandoned")
