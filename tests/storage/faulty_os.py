"""A stand-in for the ``os`` module in one module of ours, that fails when told to."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ttsorch.storage import _folders, _opened_file, _upload


class FaultyOs:
    """Counts the calls that reach the disk; the ``fail_at``-th one fails with ``error``."""

    COUNTED = (
        "open", "close", "mkdir", "write", "fsync", "fstat", "link", "unlink",
        "stat", "listdir", "pread", "rmdir",
    )  # fmt: skip

    def __init__(self, fail_at: int, error: int) -> None:
        self.calls: list[str] = []
        self._fail_at = fail_at
        self._error = error

    def __getattr__(self, name: str) -> object:
        real: object = getattr(os, name)
        if name not in self.COUNTED or not callable(real):
            return real
        return self._counted(name, real)

    @property
    def failed(self) -> bool:
        return len(self.calls) >= self._fail_at

    def _counted(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            self.calls.append(name)
            if len(self.calls) == self._fail_at:
                if name == "close":
                    real(*args)  # a close that fails has closed all the same
                raise OSError(self._error, os.strerror(self._error), "/secret/place")
            return real(*args, **options)

        return call


@contextmanager
def faulty_os(fail_at: int, error: int = errno.EIO) -> Iterator[FaultyOs]:
    """Replace ``os`` in the file system store for a while."""
    faulty = FaultyOs(fail_at, error)
    with pytest.MonkeyPatch.context() as patch:
        for module in (_folders, _upload, _opened_file):
            patch.setattr(module, "os", faulty)
        yield faulty
