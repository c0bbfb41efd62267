"""The blob store in Supabase Storage, over a real socket to its fake."""

from collections.abc import AsyncIterator

import pytest

from ttsorch.storage.supabase import SupabaseBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.fake_supabase_storage import FakeSupabaseStorage, fake_supabase_storage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def supabase(anyio_backend: str) -> AsyncIterator[FakeSupabaseStorage]:
    async with fake_supabase_storage() as fake:
        yield fake
        assert fake.server.failures == []


@pytest.fixture
async def blobs(supabase: FakeSupabaseStorage) -> AsyncIterator[SupabaseBlobStore]:
    store = SupabaseBlobStore(supabase.url("app"), key=supabase.key)
    yield store
    await store.aclose()


class TestSupabaseBlobStore(BlobStoreSuite):
    @pytest.fixture
    def raw(self, supabase: FakeSupabaseStorage) -> RawRead:
        objects = supabase.objects
        return lambda key: objects[f"app/{key}"].data if f"app/{key}" in objects else None
