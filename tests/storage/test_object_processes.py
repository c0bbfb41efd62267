"""The blob store in a bucket, in processes of its own: what it costs in memory (P9), and how they end."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.storage.buckets import S3Bucket

ROOT = Path(__file__).parents[2]


def start(script: str, bucket: S3Bucket) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.storage.{script}", bucket.url()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.deep
def test_a_hundred_megabytes_pass_through_eight(bucket: S3Bucket) -> None:
    """A put grows the process by 8 MiB at most, and the read after it by no more than that again."""
    with start("memory_of_a_put", bucket) as process:
        told, failure = process.communicate(timeout=100)
    assert process.returncode == 0, failure
    put, read = map(float, told.split())
    assert put <= 8.0, told
    assert read <= 8.0, told


def test_a_process_may_end_right_after_its_last_request(s3_origin: str) -> None:
    """obstore's threads are still on their way out of Python then, and would take the process along: without
    the wait in aclose, one in five of these ends by SIGABRT on a busy machine."""
    processes = [start("last_request", S3Bucket.made_at(s3_origin)) for _ in range(10)]
    for process in processes:
        with process:
            _, failure = process.communicate(timeout=60)
        assert (process.returncode, failure) == (0, "")
