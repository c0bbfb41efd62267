"""What this process holds of the system: open files, and children."""

import os
from pathlib import Path

import anyio
import pytest

_RELEASE_ROUNDS, _RELEASE_SECONDS = 500, 0.01


async def assert_released(before: set[str]) -> None:
    """Wait until nothing is held that wasn't before: the system may take a moment to let go."""
    for _ in range(_RELEASE_ROUNDS):
        if held() <= before:
            return
        await anyio.sleep(_RELEASE_SECONDS)
    pytest.fail(f"left behind: {sorted(held() - before)}")


def held() -> set[str]:
    """This process's open files, and its children where the system lists them."""
    files = {f"file {name}" for name in os.listdir("/dev/fd") if _is_open(int(name))}
    children = Path("/proc/self/task").glob("*/children")
    return files | {f"child {pid}" for path in children for pid in path.read_text().split()}


def _is_open(descriptor: int) -> bool:
    # Listing the folder opens one descriptor more, which is gone when we look at it.
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
