"""P9: what a put of 100 MB costs in memory, measured in a process of its own."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.storage.buckets import S3Bucket

ROOT = Path(__file__).parents[2]


@pytest.mark.deep
def test_a_hundred_megabytes_pass_through_eight(bucket: S3Bucket) -> None:
    """A put grows the process by 8 MiB at most, and the read after it by no more than that again."""
    began = time.monotonic()
    measured = subprocess.run(
        [sys.executable, "-m", "tests.storage.memory_of_a_put", bucket.url()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    put, read = map(float, measured.stdout.split())
    assert put <= 8.0, measured.stdout
    assert read <= 8.0, measured.stdout
    assert time.monotonic() - began < 100
