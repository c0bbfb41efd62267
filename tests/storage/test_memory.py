"""The blob store in memory."""

from datetime import UTC, datetime

import pytest

from ttsorch.protocols import BlobStore
from ttsorch.storage.memory import MemoryBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.blob_store_tools import KEY, pieces


class TestMemoryBlobStore(BlobStoreSuite):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobStore()

    @pytest.fixture
    def raw(self, blobs: BlobStore) -> RawRead:
        assert isinstance(blobs, MemoryBlobStore)
        stored = blobs._blobs
        return lambda key: stored[key].data if key in stored else None

    async def test_dates_blobs_by_its_clock(self) -> None:
        """A blob is as old as the store's clock says."""
        then = datetime(2020, 1, 2, tzinfo=UTC)
        info = await MemoryBlobStore(clock=lambda: then).put(KEY, pieces(b"sound"), "audio/wav")
        assert info.modified_at == then
