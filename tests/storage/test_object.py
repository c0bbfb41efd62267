"""The blob store in a bucket: what the conformance suite can't know about it, over a real socket to S3."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
import trio

from tests.storage.buckets import CREDENTIALS, S3Bucket
from tests.storage.s3_proxy import Gateway, Pause, proxy_to
from ttsorch.errors import BlobExists, BlobNotFound, StorageUnavailable
from ttsorch.protocols import BlobStore
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.blob_store_tools import KEY, WAV, keys, pieces, read

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


@pytest.fixture
def blobs(bucket: S3Bucket) -> ObjectBlobStore:
    return bucket.store("app/audio")


@pytest.mark.parametrize("size", [5_000, 6_000_000])
async def test_stores_the_content_type_for_whoever_gets_the_link(
    blobs: ObjectBlobStore, bucket: S3Bucket, size: int
) -> None:
    """A player that is sent to the bucket itself gets the type that the blob was put with."""
    await blobs.put(KEY, pieces(bytes(size), 100_000), "audio/flac")
    link = await blobs.url(KEY, expires_in=60)
    assert link is not None
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(link)
    assert (answer.status_code, len(answer.content)) == (200, size)
    assert answer.headers["content-type"] == "audio/flac"


async def test_a_link_ends(blobs: ObjectBlobStore) -> None:
    """The lifetime that was asked for is signed along, up to what S3 allows at all."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    for wanted, signed in ((60.0, "60"), (90.5, "90"), (0.1, "1"), (1e9, "604800")):
        link = await blobs.url(KEY, expires_in=wanted)
        assert f"X-Amz-Expires={signed}&" in str(link)


async def test_gives_no_links_to_what_browsers_can_not_reach(bucket: S3Bucket) -> None:
    """With ``signed_links=false`` the media route serves the blobs."""
    blobs = ObjectBlobStore(f"{bucket.url()}&signed_links=false", credentials=CREDENTIALS)
    assert await blobs.url(KEY, expires_in=60) is None


async def test_gives_no_link_that_its_credentials_can_not_sign(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Azure signs with the account's key, which not all credentials are: the operator is told so."""
    blobs = ObjectBlobStore("az://cont?account=me", credentials={"sas_key": "sv=1&sig=canary"})
    assert await blobs.url(KEY, expires_in=60) is None
    assert "no signed link: az: " in caplog.text


async def test_lists_and_touches_only_what_is_its_own(
    blobs: ObjectBlobStore, bucket: S3Bucket
) -> None:
    """Another folder of the bucket, or something that isn't a key of ours, isn't in a listing."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    for path in (
        "app/other/u1/g1/1.wav",
        "app/audio2/u1/g1/1.wav",
        "u1/g1/1.wav",
        "app/audio/README",
        "app/audio/Upper/Case/1.wav",
        "app/audio/u1/my notes/1.wav",
    ):
        bucket.put(path, b"not ours")
    assert await keys(blobs) == [KEY]


async def test_only_looking_transfers_nothing(
    blobs: ObjectBlobStore, bucket: S3Bucket, s3_origin: str
) -> None:
    """Whoever opens a blob for its size alone asks with a HEAD."""
    await blobs.put(KEY, pieces(b"0123456789"), WAV)
    async with proxy_to(s3_origin) as proxy:
        behind = bucket.store("app/audio", endpoint=proxy.url)
        async with behind.open(KEY) as stream:
            assert stream.size == 10
        assert await read(behind, KEY, start=10) == b""
        assert [request.method for request in proxy.server.requests] == ["HEAD", "HEAD"]
        assert await read(behind, KEY, start=2, end=4) == b"23"
        assert proxy.server.requests[-1].headers["range"] == "bytes=2-3"


async def test_a_reader_that_leaves_takes_its_connection_along(
    bucket: S3Bucket, s3_origin: str
) -> None:
    """What nobody reads any more isn't transferred: the connection is closed, not drained."""
    bucket.put(KEY, bytes(64_000_000))
    async with proxy_to(s3_origin) as proxy:
        async with bucket.store(endpoint=proxy.url).open(KEY) as stream:
            first = await anext(stream.chunks)
            assert 0 < len(first) < 8_000_000
        with pytest.raises(StorageUnavailable):
            await anext(stream.chunks)
        with anyio.fail_after(10):
            # The HEAD's connection may stay, idle; the one with the body on it may not.
            while proxy.server.open_connections > 1:  # noqa: ASYNC110  # the socket tells nobody
                await anyio.sleep(0.01)


async def test_takes_little_ahead_of_what_the_store_has_stored(
    bucket: S3Bucket, s3_origin: str
) -> None:
    """A slow store slows the reader down: two parts and the first look are all that waits in memory."""
    taken = 0

    class Endless(AsyncIterator[bytes]):
        async def __anext__(self) -> bytes:
            nonlocal taken
            await anyio.lowlevel.checkpoint()
            taken += 100_000
            return bytes(100_000)

    async with proxy_to(s3_origin) as proxy:
        proxy.pause = part = Pause("PUT", "partNumber")
        put = asyncio.create_task(bucket.store(endpoint=proxy.url).put(KEY, Endless(), WAV))
        await part.reached.wait()
        before = -1
        while before != taken:
            before = taken
            for _ in range(50):
                await anyio.sleep(0.001)
        assert taken <= 2 * 5 * 1024 * 1024 + 4 * 256 * 1024
        put.cancel()
        part.released.set()
        with pytest.raises(asyncio.CancelledError):
            await put
    assert bucket.unfinished_uploads() == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_CONDITIONAL_PUT", "disabled"),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ("AWS_BUCKET", "another"),
    ],
)
async def test_the_url_goes_before_the_environment(
    bucket: S3Bucket, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Where the audio goes, and whether a blob can be replaced, is no matter of who started the process."""
    monkeypatch.setenv(variable, value)
    blobs = bucket.store()
    await blobs.put(KEY, pieces(b"first"), WAV)
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(b"second"), WAV)
    assert bucket.read(KEY) == b"first"


async def test_a_bucket_that_is_not_there_is_named_as_the_reason(bucket: S3Bucket) -> None:
    """An operator reads what is wrong; a missing bucket is not a missing blob."""
    nowhere = S3Bucket(bucket.origin, "no-such-bucket").store()
    with pytest.raises(StorageUnavailable, match="bucket does not exist"):
        await nowhere.put(KEY, pieces(b"sound"), WAV)
    with pytest.raises(StorageUnavailable, match="bucket does not exist"):
        await keys(nowhere)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listens at this port."""
    blobs = S3Bucket("http://127.0.0.1:9", "bucket").store(retries=0)
    with pytest.raises(StorageUnavailable) as caught:
        await read(blobs, KEY)
    assert not isinstance(caught.value, BlobNotFound)


async def test_says_that_trio_is_not_for_it() -> None:
    """obstore needs asyncio: a clear sentence instead of whatever pyo3 says."""

    async def main() -> None:
        await S3Bucket("http://127.0.0.1:9", "bucket").store().delete(KEY)

    with pytest.raises(RuntimeError, match="asyncio only"):
        await anyio.to_thread.run_sync(trio.run, main)


# --- secrets ------------------------------------------------------------------------------------------


async def test_shows_no_secret_wherever_it_fails(
    bucket: S3Bucket, s3_origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Credentials, signatures and what a server said are in no exception, no repr and no log line."""
    caplog.set_level(logging.DEBUG)
    failures: list[StorageUnavailable] = []
    async with proxy_to(s3_origin) as proxy:
        blobs = bucket.store(endpoint=proxy.url, retries=0)
        for status in (400, 401, 403, 500, 503):
            for method in ("PUT", "HEAD", "GET", "DELETE"):
                proxy.gateway.append(Gateway(status, method))
                try:
                    await _use(blobs, method)
                except StorageUnavailable as error:
                    failures.append(error)
    assert len(failures) == 20
    shown = [repr(blobs), caplog.text]
    for failure in failures:
        shown += traceback.format_exception(failure)
        assert failure.__cause__ is None
        assert failure.__context__ is None or failure.__suppress_context__
        shown.append(str(failure.detail))
    for text in shown:
        assert "canary" not in text
        assert "X-Amz-Signature" not in text


async def _use(blobs: ObjectBlobStore, method: str) -> None:
    if method == "PUT":
        await blobs.put(KEY, pieces(b"sound"), WAV)
    elif method == "HEAD":
        await read(blobs, KEY)
    elif method == "GET":
        await keys(blobs)
    else:
        await blobs.delete(KEY)


async def test_a_refusal_is_told_in_words(bucket: S3Bucket, s3_origin: str) -> None:
    """Whoever reads the log finds out that it is the credentials."""
    async with proxy_to(s3_origin) as proxy:
        proxy.gateway.append(Gateway(403, "GET"))
        with pytest.raises(StorageUnavailable, match="refuses its credentials"):
            await keys(bucket.store(endpoint=proxy.url, retries=0))
