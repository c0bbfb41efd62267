"""The servers that blob stores are tested against."""

from collections.abc import Iterator

import pytest

from tests.storage.buckets import S3Bucket, s3_server


@pytest.fixture(scope="session")
def s3_origin() -> Iterator[str]:
    """One S3 for the whole run: it takes seconds to start."""
    with s3_server() as origin:
        yield origin


@pytest.fixture
def bucket(s3_origin: str) -> S3Bucket:
    """An empty bucket of this test's own."""
    return S3Bucket.made_at(s3_origin)
