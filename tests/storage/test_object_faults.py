"""The blob store in a bucket when requests fail, answers get lost and callers go away (faults, F27, F33)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import pytest

from tests.storage.buckets import S3Bucket
from tests.storage.s3_proxy import Gateway, Pause, S3Proxy, proxy_to
from ttsorch.errors import BlobExists, StorageUnavailable
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.testing.blob_store_tools import KEY, WAV, ProviderWentAway, pieces, read
from ttsorch.testing.vendor_server import WireFault

pytestmark = pytest.mark.anyio

SMALL = b"sound" * 1000
#: Two parts and a bit.
LARGE = bytes(range(256)) * 44_000


@pytest.fixture
def anyio_backend() -> str:
    """obstore needs asyncio."""
    return "asyncio"


@pytest.fixture
async def proxy(anyio_backend: str, s3_origin: str) -> AsyncIterator[S3Proxy]:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxy_to(s3_origin))
        yield proxy
        assert proxy.server.failures == []


@pytest.fixture
def blobs(bucket: S3Bucket, proxy: S3Proxy) -> ObjectBlobStore:
    return bucket.store(endpoint=proxy.url)


def path_of(bucket: S3Bucket) -> str:
    return f"/{bucket.name}/{KEY}"


# --- failures of the server ---------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_server_that_fails_for_a_moment_is_asked_again(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy, data: bytes
) -> None:
    """Two 503s delay a put, and change nothing else."""
    proxy.gateway.extend([Gateway(503), Gateway(500)])
    await blobs.put(KEY, pieces(data, 100_000), WAV)
    assert bucket.read(KEY) == data
    assert bucket.unfinished_uploads() == []


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_server_that_keeps_failing_is_told(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy, data: bytes
) -> None:
    """A failed put is StorageUnavailable and leaves neither a blob nor a part."""
    proxy.gateway.extend([Gateway(503)] * 20)
    with pytest.raises(StorageUnavailable) as caught:
        await blobs.put(KEY, pieces(data, 100_000), WAV)
    assert not isinstance(caught.value, BlobExists)
    assert caught.value.detail == "s3: GenericError 503"
    assert bucket.read(KEY) is None
    assert bucket.unfinished_uploads() == []


async def test_what_was_stored_before_a_failure_is_known_again(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """F33: a gateway gives up on a server that stores all the same; the put that is then sent again finds
    the key taken, and taken by itself."""
    proxy.gateway.append(Gateway(502, late=True))
    await blobs.put(KEY, pieces(SMALL), WAV)
    assert bucket.read(KEY) == SMALL
    assert len(proxy.asked("PUT")) == 2


async def test_equal_bytes_of_somebody_else_are_not_ours(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """Only the mark proves anything: another put of the same bytes still is another put."""
    bucket.put(KEY, SMALL)
    proxy.gateway.append(Gateway(502))
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(SMALL), WAV)


async def test_a_lost_answer_is_no_lost_blob(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """The connection ends after the blob was stored and before anybody heard so."""
    proxy.server.faults.append(WireFault(path=path_of(bucket), lose_reply=True))
    await blobs.put(KEY, pieces(SMALL), WAV)
    assert bucket.read(KEY) == SMALL


async def test_a_lost_request_stores_nothing(bucket: S3Bucket, proxy: S3Proxy) -> None:
    """The connection ends in the middle of the only request, which isn't sent again."""
    blobs = bucket.store(endpoint=proxy.url, retries=0)
    proxy.server.faults.append(WireFault(path=path_of(bucket), cut_request_after=500))
    with pytest.raises(StorageUnavailable):
        await blobs.put(KEY, pieces(SMALL), WAV)
    assert bucket.read(KEY) is None


async def test_a_part_that_was_cut_off_is_sent_again(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """A reset in the middle of a part costs that part."""
    looked = started = WireFault(path=path_of(bucket))
    cut = WireFault(path=path_of(bucket), cut_request_after=1_000_000)
    proxy.server.faults.extend([looked, started, cut])
    await blobs.put(KEY, pieces(LARGE, 100_000), WAV)
    assert bucket.read(KEY) == LARGE
    assert not proxy.server.faults


async def test_an_upload_that_was_completed_before_a_failure_is_known_again(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """The last request of a multipart upload is done, answered with a 502, and can't be done again."""
    proxy.gateway.extend([Gateway(503, "POST"), Gateway(503), Gateway(502, "POST", late=True)])
    await blobs.put(KEY, pieces(LARGE, 100_000), WAV)
    assert bucket.read(KEY) == LARGE
    assert await read(blobs, KEY) == LARGE


async def test_a_silent_server_is_left(bucket: S3Bucket, proxy: S3Proxy) -> None:
    """Whoever doesn't answer within the store's patience has failed."""
    blobs = bucket.store(endpoint=proxy.url, patience=0.2, retries=0)
    proxy.server.faults.extend([WireFault(stall=anyio.Event()) for _ in range(4)])
    with anyio.fail_after(10):
        with pytest.raises(StorageUnavailable):
            await blobs.put(KEY, pieces(SMALL), WAV)
        with pytest.raises(StorageUnavailable):
            await read(blobs, KEY)


async def test_a_body_that_breaks_off_is_never_a_short_blob(
    bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """Whatever comes of a download that is cut, it isn't an end."""
    bucket.put(KEY, LARGE)
    blobs = bucket.store(endpoint=proxy.url, retries=0)
    async with blobs.open(KEY) as stream:
        proxy.server.faults.extend(
            [WireFault(path=path_of(bucket), cut_reply_after=3_000_000)] * 20
        )
        with pytest.raises(StorageUnavailable):
            await anext(chunk async for chunk in stream.chunks if not chunk)


@pytest.mark.parametrize("left", [1_000_000, 3])
async def test_a_blob_that_became_shorter_is_never_a_short_blob(
    bucket: S3Bucket, blobs: ObjectBlobStore, left: int
) -> None:
    """Somebody put something else there after it was looked at: what is missing isn't an end."""
    bucket.put(KEY, LARGE)
    async with blobs.open(KEY, start=2) as stream:
        bucket.put(KEY, bytes(left))
        with anyio.fail_after(10), pytest.raises(StorageUnavailable):
            await anext(chunk async for chunk in stream.chunks if not chunk)


# --- keys that are taken ------------------------------------------------------------------------------


async def test_a_large_blob_does_not_replace_another(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """A key that is taken is found before a single part is sent."""
    bucket.put(KEY, b"first")
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(LARGE, 100_000), WAV)
    assert bucket.read(KEY) == b"first"
    assert proxy.asked("POST") == proxy.asked("PUT") == []


async def test_a_key_that_is_taken_during_an_upload_stays_as_it_is(
    blobs: ObjectBlobStore, bucket: S3Bucket
) -> None:
    """The key is looked at again before the last request, and the parts are removed."""

    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE
        bucket.put(KEY, b"first")
        yield b"end"

    with pytest.raises(BlobExists):
        await blobs.put(KEY, chunks(), WAV)
    assert bucket.read(KEY) == b"first"
    assert bucket.unfinished_uploads() == []


# --- callers that go away -----------------------------------------------------------------------------


async def test_chunks_that_fail_leave_no_part(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy
) -> None:
    """F27: the multipart upload is aborted, and what the chunks raised comes out unchanged."""
    proxy.pause = part = Pause("PUT", "partNumber")

    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE
        await part.reached.wait()
        assert bucket.unfinished_uploads() == [KEY]
        part.released.set()
        raise ProviderWentAway

    with pytest.raises(ProviderWentAway):
        await blobs.put(KEY, chunks(), WAV)
    assert bucket.unfinished_uploads() == []
    assert bucket.read(KEY) is None


@pytest.mark.parametrize("cancels", [1, 3])
async def test_a_cancelled_put_leaves_no_part(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy, cancels: int
) -> None:
    """Not even when asyncio itself cancels the task, which heeds no shield."""
    proxy.pause = part = Pause("PUT", "partNumber")

    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE
        await anyio.sleep_forever()

    put = asyncio.create_task(blobs.put(KEY, chunks(), WAV))
    await part.reached.wait()
    assert bucket.unfinished_uploads() == [KEY]
    await _cancel(put, cancels)
    part.released.set()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert bucket.unfinished_uploads() == []
    assert bucket.read(KEY) is None


@pytest.mark.parametrize("cancels", [1, 3])
@pytest.mark.parametrize(
    ("data", "last"),
    [(SMALL, Pause("PUT")), (LARGE, Pause("POST", "uploadId"))],
    ids=["small", "large"],
)
async def test_a_put_that_is_cancelled_at_its_end_is_undone(
    blobs: ObjectBlobStore, bucket: S3Bucket, proxy: S3Proxy, data: bytes, last: Pause, cancels: int
) -> None:
    """The blob is stored, but nobody waits for the answer any more: nobody would know of it."""
    proxy.pause = pause = Pause(last.method, last.parameter)
    put = asyncio.create_task(blobs.put(KEY, pieces(data, 100_000), WAV))
    await pause.reached.wait()
    assert bucket.read(KEY) == data
    await _cancel(put, cancels)
    pause.released.set()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert bucket.read(KEY) is None


async def _cancel(task: "asyncio.Task[object]", times: int) -> None:
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
