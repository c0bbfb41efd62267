"""What `import ttsorch` gives, and what it doesn't pull in."""

import subprocess
import sys
import types
from importlib.metadata import version

import ttsorch

FORBIDDEN = {
    "httpx", "httpcore", "tenacity", "tinytag", "sqlite3", "starlette", "uvicorn", "typer", "rich",
    "pytest", "hypothesis", "espeakng_loader", "trio",
}  # fmt: skip


def test_everything_public_is_listed_and_everything_listed_exists() -> None:
    """`__all__` is the table of contents."""
    public = {
        name
        for name, value in vars(ttsorch).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(ttsorch.__all__)
    assert len(ttsorch.__all__) == len(set(ttsorch.__all__))


def test_the_version_is_the_packages() -> None:
    """One number, wherever it is read."""
    assert ttsorch.__version__ == version("ttsorch")


def test_importing_ttsorch_pulls_in_no_client_driver_or_framework() -> None:
    """A web function that imports it pays for nothing that it doesn't use."""
    code = "import sys, ttsorch; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not FORBIDDEN & set(loaded)
