"""One blob in a folder, open for reading."""

import os
import stat
import threading
from pathlib import Path

from ttsorch.errors import BlobNotFound
from ttsorch.storage._folders import inside

# Not blocking: what was put in the place of a blob may be a pipe without a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class OpenedFile:
    """``open`` and ``read`` block; ``close`` doesn't, and may come while a thread is still at one of them:
    asyncio can abandon a call before its thread is done."""

    def __init__(self, root: Path, key: str) -> None:
        *self._folders, self._name = key.split("/")
        self._root = root
        self._lock = threading.Lock()
        self._file: int | None = None
        self._closed = False

    def open(self) -> int:
        """The size of the blob, in bytes.

        Raises:
            BlobNotFound: there is none.
        """
        try:
            with inside(self._root, self._folders) as entered:
                file = os.open(self._name, _READ, dir_fd=entered[-1])
        except FileNotFoundError:
            raise BlobNotFound from None
        with self._lock:
            self._file = file
            status = os.fstat(file)
        if self._closed:
            self.close()
        if not stat.S_ISREG(status.st_mode):
            raise BlobNotFound
        return status.st_size

    def read(self, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes from ``offset`` on; none after :meth:`close`."""
        with self._lock:
            return b"" if self._file is None else os.pread(self._file, count, offset)

    def close(self) -> None:
        """Harmless when repeated, or when nothing is open."""
        self._closed = True
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            try:
                os.close(file)
            except OSError:
                pass  # nothing was written, so there is nothing to lose
