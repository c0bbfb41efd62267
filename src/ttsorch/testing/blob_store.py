"""The conformance suite for blob stores: every sentence of :class:`~ttsorch.protocols.BlobStore`.

To prove your own store, subclass the suite in a test module and give it two fixtures::

    class TestMyBlobStore(BlobStoreSuite):
        @pytest.fixture
        def blobs(self) -> BlobStore: ...

        @pytest.fixture
        def raw(self) -> RawRead: ...

``blobs`` is a store without any blob in it, and its fixture's to close. ``raw`` reads the bytes under a key
without the store, so that a wrong write and a wrong read can't cancel each other out. The tests run on the
event loops that your ``anyio_backend`` fixture names.
"""

import pytest

from ttsorch.testing.blob_store_put import BlobPuts
from ttsorch.testing.blob_store_read import BlobReads
from ttsorch.testing.blob_store_tools import RawRead

__all__ = ["BlobStoreSuite", "RawRead"]


class BlobStoreSuite(BlobPuts, BlobReads):
    """Supply the fixtures ``blobs`` and ``raw``."""

    pytestmark = pytest.mark.anyio
