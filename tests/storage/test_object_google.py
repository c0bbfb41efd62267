"""The blob store in Google Cloud Storage's dialect, over a real socket. No emulator of it that speaks the XML
API with multipart uploads is to be had as a package, so what answers is S3 behind a translation."""

from collections.abc import Iterator

import pytest

from tests.storage.buckets import S3Bucket, s3_server
from ttsorch.protocols import BlobStore
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead


@pytest.fixture
def anyio_backend() -> str:
    """obstore needs asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    with s3_server("--google") as origin:
        yield origin


class TestObjectBlobStore(BlobStoreSuite):
    @pytest.fixture
    def bucket(self, google: str) -> S3Bucket:
        return S3Bucket.made_at(google)

    @pytest.fixture
    def blobs(self, bucket: S3Bucket) -> BlobStore:
        return ObjectBlobStore(
            f"gs://{bucket.name}/audio?endpoint={bucket.origin}",
            credentials={"bearer_token": "a-token"},
        )

    @pytest.fixture
    def raw(self, bucket: S3Bucket) -> RawRead:
        return lambda key: bucket.read(f"audio/{key}")
