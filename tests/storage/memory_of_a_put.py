"""How much a fresh process grows while it puts 100 MB into a bucket and reads them again: two numbers in MiB.

Run as ``python memory_of_a_put.py URL``; the bytes are made as they are asked for.
"""

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator

from tests.storage.buckets import CREDENTIALS
from ttsorch.storage.object import ObjectBlobStore

SIZE = 100 * 1024 * 1024
_CHUNK = 64 * 1024


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // _CHUNK):
        yield os.urandom(_CHUNK)


async def main(url: str) -> None:
    blobs = ObjectBlobStore(url, credentials=CREDENTIALS)
    # What is loaded by the first request is no part of the growth.
    await blobs.put("u1/g1/1.wav", _chunks(_CHUNK), "audio/wav")
    async with blobs.open("u1/g1/1.wav") as stream:
        assert [len(chunk) async for chunk in stream.chunks] == [_CHUNK]
    before = _peak()
    info = await blobs.put("u1/g1/2.wav", _chunks(SIZE), "audio/wav")
    assert info.size == SIZE
    stored = _peak()
    async with blobs.open("u1/g1/2.wav") as stream:
        assert sum([len(chunk) async for chunk in stream.chunks]) == SIZE
    await blobs.aclose()
    sys.stdout.write(f"{stored - before:.1f} {_peak() - stored:.1f}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
