"""The process that brings speech from the vendor into a bucket: ``python -m benchmarks.uploading WHO VENDOR
BYTES SERVER BUCKET``. Prints one line of JSON: how long it took, and how much the process grew by it."""

import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3
import anyio
import httpx

from benchmarks.finalizing import SMALL, finalized, memory
from ttsorch.storage.object import ObjectBlobStore

_CREDENTIALS = {"access_key_id": "somebody", "secret_access_key": "something"}


@dataclass(frozen=True, slots=True)
class _Errand:
    """``vendor`` has ``size`` bytes, which go into ``bucket`` at ``server``."""

    vendor: str
    size: int
    server: str
    bucket: str


async def _finalize(errand: _Errand) -> dict[str, float]:
    url = f"s3://{errand.bucket}/?endpoint={errand.server}&region=us-east-1"
    blobs = ObjectBlobStore(url, credentials=_CREDENTIALS)
    with tempfile.TemporaryDirectory() as folder:
        told = await finalized(errand.vendor, errand.size, Path(folder), blobs)
    await blobs.aclose()
    return told


async def _upload(errand: _Errand) -> dict[str, float]:
    """As one would by hand: the answer of a GET handed to ``upload_fileobj``."""
    session = aioboto3.Session(
        aws_access_key_id=_CREDENTIALS["access_key_id"],
        aws_secret_access_key=_CREDENTIALS["secret_access_key"],
        region_name="us-east-1",
    )
    async with (
        httpx.AsyncClient() as http,
        session.client("s3", endpoint_url=errand.server) as s3,
    ):

        async def store_one(size: int) -> None:
            async with http.stream("GET", f"{errand.vendor}/audio?bytes={size}") as reply:
                await s3.upload_fileobj(_File(reply.aiter_raw()), errand.bucket, "audio.wav")
            stored = await s3.head_object(Bucket=errand.bucket, Key="audio.wav")
            if stored["ContentLength"] != size:
                raise AssertionError(f"{stored['ContentLength']} bytes were stored")

        await store_one(SMALL)
        resident = memory("VmRSS")
        before = time.perf_counter()
        await store_one(errand.size)
        seconds = time.perf_counter() - before
    return {"seconds": seconds, "grown": memory("VmHWM") - resident}


class _File:
    """Chunks as a file, which is what aioboto3 takes."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    async def read(self, size: int) -> bytes:
        pieces, missing = [self._left], size - len(self._left)
        while missing > 0 and (piece := await anext(self._chunks, b"")):
            pieces.append(piece)
            missing -= len(piece)
        whole = b"".join(pieces)
        self._left = whole[size:]
        return whole[:size]


WHO: Mapping[str, Callable[[_Errand], Awaitable[dict[str, float]]]] = {
    "finalize": _finalize,
    "aioboto3": _upload,
}


def main(who: str, vendor: str, size: str, server: str, bucket: str) -> None:
    measured: Any = anyio.run(WHO[who], _Errand(vendor, int(size), server, bucket))
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
