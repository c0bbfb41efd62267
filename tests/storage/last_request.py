"""A process that ends right after its last request: ``python -m tests.storage.last_request URL``."""

import asyncio
import sys

from tests.storage.buckets import CREDENTIALS
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.testing.blob_store_tools import KEY, WAV, pieces


async def main(url: str) -> None:
    blobs = ObjectBlobStore(url, credentials=CREDENTIALS)
    await blobs.put(KEY, pieces(b"sound"), WAV)
    await blobs.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
