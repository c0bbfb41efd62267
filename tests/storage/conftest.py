"""The servers that blob stores are tested against."""

import os
from collections.abc import Iterator

import pytest

from tests.storage.buckets import S3Bucket, s3_server

# Azurite is a package for node, which a machine needn't have: see the Makefile.
collect_ignore_glob = [] if os.environ.get("TTSORCH_AZURITE") else ["test_object_azure.py"]


@pytest.fixture(scope="session")
def s3_origin() -> Iterator[str]:
    """One S3 for the whole run: it takes seconds to start."""
    with s3_server() as origin:
        yield origin


@pytest.fixture
def bucket(s3_origin: str) -> S3Bucket:
    """An empty bucket of this test's own."""
    return S3Bucket.made_at(s3_origin)
