"""The blob store in a bucket: what the conformance suite can't know about it, over a real socket to S3."""

import pytest

from tests.storage.buckets import S3Bucket
from ttsorch.protocols import BlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """obstore needs asyncio."""
    return "asyncio"


class TestObjectBlobStore(BlobStoreSuite):
    @pytest.fixture
    def blobs(self, bucket: S3Bucket) -> BlobStore:
        return bucket.store("audio")

    @pytest.fixture
    def raw(self, bucket: S3Bucket) -> RawRead:
        return lambda key: bucket.read(f"audio/{key}")
