"""P8: 100 MB of speech on its way into our storage, against ``curl -o`` with ``fsync`` and ``mv``; and how
much a process grows by it. Every round is a process of its own: ``python -m benchmarks.storing URL BYTES
FOLDER``.

What is measured is ``finalize`` whole: claim, download, audio gate, checksum, fsync of file and folders,
publication.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from benchmarks.finalizing import finalized
from benchmarks.findings import Bar, Finding
from benchmarks.pairs import Effort, median, ratio, take_turns
from benchmarks.vendor import vendor
from ttsorch.storage.filesystem import FilesystemBlobStore

_BYTES = 100_000_000


def run(effort: Effort) -> Iterator[Finding]:
    if shutil.which("curl") is None:
        raise RuntimeError("this benchmark compares with curl, which is not installed")
    size = effort.calls(_BYTES)
    # The header says how many 16-bit samples there are.
    size -= size % 2
    grown: list[float] = []

    def finalize() -> float:
        with tempfile.TemporaryDirectory() as folder:
            told = _child(url, size, folder)
        grown.append(told["grown"])
        return told["seconds"]

    def curl() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _curl(url, size, Path(folder))

    with vendor() as url:
        costs = take_turns({"finalize": finalize, "curl": curl}, effort.rounds)
    note = ", ".join(f"{name} {size / median(costs[name]).value / 1e6:.0f} MB/s" for name in costs)
    what = f"finalize {size / 1e6:.0f} MB to disk"
    yield Finding(
        "P8", f"{what} / curl, fsync, mv", ratio(costs, "finalize", "curl"), Bar(1.15), note=note
    )
    growth = median(grown)
    yield Finding("P8", f"{what}: growth of the process", growth, Bar(2.0), "MiB")


def _curl(url: str, size: int, folder: Path) -> float:
    part, whole = folder / "part", folder / "audio.wav"
    before = time.perf_counter()
    subprocess.run(  # noqa: S603
        ["curl", "--silent", "--fail", "-o", part, f"{url}/audio?bytes={size}"],  # noqa: S607
        check=True,
    )
    _sync(part)
    subprocess.run(["mv", part, whole], check=True)  # noqa: S603, S607
    _sync(folder)
    return time.perf_counter() - before


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _child(url: str, size: int, folder: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.storing", url, str(size), folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    told: dict[str, float] = json.loads(done.stdout)
    return told


async def _finalize(url: str, size: int, folder: Path) -> dict[str, float]:
    return await finalized(url, size, folder, FilesystemBlobStore(folder / "blobs"))


if __name__ == "__main__":
    measured = anyio.run(_finalize, sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    sys.stdout.write(json.dumps(measured))
