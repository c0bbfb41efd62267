"""Where spoken audio goes: a file that appears whole or not at all, a device, or standard output."""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

from anyio.to_thread import run_sync

from ttsorch.errors import TtsorchError, ValidationError


class Target(Protocol):
    async def write(self, chunks: AsyncIterator[bytes], extension: str) -> str:
        """Write all of the audio; what to call the place: a path, or "-" for standard output.

        Raises:
            TtsorchError: code ``out_not_written``; nothing is left at the place then.
        """
        ...


def choose_target(out: str | None, *, force: bool) -> Target:
    """What ``--out`` asks for. What can be refused is refused here, before anything was paid for.

    Raises:
        ValidationError: the file exists and ``force`` isn't set, or it can't be made there.
    """
    if out == "-":
        if sys.stdout.isatty():
            raise _refused("Audio is not written to a terminal: redirect it, or name a file.")
        return StandardOutput()
    if out is None:
        return File(folder=_writable(Path.cwd()), name=None)
    # A link is written through, as by any other program.
    path = Path(out).resolve()
    if path.is_dir():
        raise _refused(f"{out} is a folder.")
    if path.exists() and not path.is_file():
        return Device(path)
    if path.exists() and not force:
        raise _exists(path)
    return File(folder=_writable(path.parent), name=path.name, force=force)


@dataclass(frozen=True, slots=True)
class File:
    """A file called ``name``, or without one the first of speech.wav, speech-2.wav, … that is free."""

    folder: Path
    name: str | None
    force: bool = False

    async def write(self, chunks: AsyncIterator[bytes], extension: str) -> str:
        draft = self.folder / f".{self.name or 'speech'}.{secrets.token_hex(4)}.part"
        with _naming(self.name or f"speech.{extension}"):
            try:
                await _fill(draft, chunks, mode="xb")
                return str(await run_sync(self._publish, draft, extension))
            finally:
                draft.unlink(missing_ok=True)

    def _publish(self, draft: Path, extension: str) -> Path:
        path = self._reserve(extension)
        os.replace(draft, path)
        return path

    def _reserve(self, extension: str) -> Path:
        """A name that is ours from here on, without taking anybody's file away from under it."""
        if self.name is None:
            return next(filter(_make, self._numbered(extension)))
        path = self.folder / self.name
        if not self.force and not _make(path):
            raise _exists(path)
        return path

    def _numbered(self, extension: str) -> Iterator[Path]:
        yield self.folder / f"speech.{extension}"
        yield from (self.folder / f"speech-{number}.{extension}" for number in count(2))


@dataclass(frozen=True, slots=True)
class Device:
    """Something that exists and is no file: /dev/null, a pipe with a name."""

    path: Path

    async def write(self, chunks: AsyncIterator[bytes], extension: str) -> str:
        with _naming(str(self.path)):
            await _fill(self.path, chunks, mode="wb")
        return str(self.path)


@dataclass(frozen=True, slots=True)
class StandardOutput:
    async def write(self, chunks: AsyncIterator[bytes], extension: str) -> str:
        async for chunk in chunks:
            await run_sync(sys.stdout.buffer.write, chunk)
        await run_sync(sys.stdout.buffer.flush)
        return "-"


async def _fill(path: Path, chunks: AsyncIterator[bytes], *, mode: str) -> None:
    file = await run_sync(open, path, mode)
    try:
        async for chunk in chunks:
            await run_sync(file.write, chunk)
    finally:
        # What is still buffered may not fit: closing can fail, too.
        file.close()


def _make(path: Path) -> bool:
    """Make an empty file; False if something has that name."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TtsorchError(
            f"{name} can't be written: {error.strerror}.", code="out_not_written"
        ) from error


def _writable(folder: Path) -> Path:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused("The audio can't be put there: no such folder, or it can't be written to.")
    return folder


def _exists(path: Path) -> ValidationError:
    return ValidationError(
        f"{path.name} exists already; --force overwrites it.", code="out_exists", field="out"
    )


def _refused(message: str) -> ValidationError:
    return ValidationError(message, code="out_refused", field="out")
