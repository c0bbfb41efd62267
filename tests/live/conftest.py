"""Tests against the vendors themselves. They cost money, so they aren't even collected unless they are asked
for by ``TTSORCH_LIVE=1`` and the vendor's own settings are there (CONTRIBUTING, "Live tests").
"""

import os
from collections.abc import Mapping

import pytest

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "test_modal.py": ("MODAL_JOB_SUBMIT", "MODAL_JOB_STATUS", "MODAL_JOB_RESULT"),
    "test_qwen.py": ("DASHSCOPE_API_KEY",),
}


def _missing(file: str) -> list[str]:
    switch = [] if os.environ.get("TTSORCH_LIVE") == "1" else ["TTSORCH_LIVE=1"]
    return switch + [name for name in _NEEDED[file] if not os.environ.get(name, "").strip()]


collect_ignore_glob = [file for file in _NEEDED if _missing(file)]


@pytest.fixture
def anyio_backend() -> str:
    """One event loop: on two, everything would be paid for twice."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """pytest collects a file that is named on its command line, whatever this folder says."""
    if missing := _missing(request.path.name):
        pytest.fail(f"This test costs money. To run it, set {', '.join(missing)}.", pytrace=False)
