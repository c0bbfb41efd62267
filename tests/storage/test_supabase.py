"""The blob store in Supabase Storage, over a real socket to its fake."""

import logging
import traceback
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from ttsorch.errors import BlobExists, BlobNotFound, StorageUnavailable
from ttsorch.storage.supabase import SupabaseBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.blob_store_tools import KEY, WAV, keys, pieces, read
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fake_supabase_storage import (
    FakeSupabaseStorage,
    Refusal,
    fake_supabase_storage,
)
from ttsorch.testing.vendor_server import WireFault

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


async def _open(link: str) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.get(link)


# --- what it asks for ---------------------------------------------------------------------------------


async def test_stores_the_content_type_for_whoever_gets_the_link(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """A player that is sent to the project itself gets the blob with the type that it was put with."""
    await blobs.put(KEY, pieces(b"sound"), "audio/flac")
    link = await blobs.url(KEY, expires_in=60)
    assert link is not None
    assert supabase.key not in link
    answer = await _open(link)
    assert (answer.status_code, answer.content) == (200, b"sound")
    assert answer.headers["content-type"] == "audio/flac"


async def test_a_link_ends(anyio_backend: str) -> None:
    """After the time that was asked for, in whole seconds."""
    clock = ManualClock()
    async with fake_supabase_storage(clock=clock) as supabase:
        blobs = SupabaseBlobStore(supabase.url(), key=supabase.key)
        await blobs.put(KEY, pieces(b"sound"), WAV)
        link = str(await blobs.url(KEY, expires_in=59.5))
        clock.advance(59)
        assert (await _open(link)).status_code == 200
        clock.advance(2)
        assert (await _open(link)).status_code == 400
        await blobs.aclose()


async def test_there_is_no_link_to_nothing(blobs: SupabaseBlobStore) -> None:
    """Supabase signs only for what it has."""
    with pytest.raises(BlobNotFound):
        await blobs.url(KEY, expires_in=60)


async def test_lists_all_pages(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing goes on where the last page ended, even when what it gave is deleted meanwhile."""
    monkeypatch.setattr("ttsorch.storage.supabase._PAGE", 2)
    for number in range(5):
        await blobs.put(f"u1/g{number}/1.wav", pieces(b"sound"), WAV)
    met = []
    async for blob in blobs.list("u1/"):
        met.append(blob.key)
        await blobs.delete(blob.key)
    assert sorted(met) == [f"u1/g{number}/1.wav" for number in range(5)]
    assert supabase.objects == {}


async def test_lists_and_touches_only_what_is_its_own(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """Another folder of the bucket, or something that isn't a key of ours, isn't in a listing."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    ours = supabase.objects[f"app/{KEY}"]
    for name in ("other/u1/g1/1.wav", "app2/u1/g1/1.wav", "app/README", "app/Upper/Case/1.wav"):
        supabase.objects[name] = ours
    assert await keys(blobs) == [KEY]


async def test_only_looking_transfers_nothing(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """Whoever opens a blob for its size alone doesn't download it."""
    await blobs.put(KEY, pieces(b"0123456789"), WAV)
    async with blobs.open(KEY) as stream:
        assert stream.size == 10
    assert "/info/" in supabase.server.requests[-1].path
    assert await read(blobs, KEY, start=2, end=4) == b"23"
    assert supabase.server.requests[-1].headers["range"] == "bytes=2-3"


async def test_a_reader_that_leaves_takes_its_connection_along(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """What nobody reads any more isn't transferred."""
    await blobs.put(KEY, pieces(bytes(30_000_000), 1_000_000), WAV)
    async with blobs.open(KEY) as stream:
        assert await anext(stream.chunks)
    with pytest.raises(StorageUnavailable):
        await anext(stream.chunks)
    with anyio.fail_after(10):
        # The connection of the earlier requests may stay, idle.
        while supabase.server.open_connections > 1:  # noqa: ASYNC110  # the socket tells nobody
            await anyio.sleep(0.01)


# --- failures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("true_statuses", [True, False])
async def test_understands_errors_of_old_and_new_servers(
    anyio_backend: str, true_statuses: bool
) -> None:
    """The status of an error is its own, or 400 with the true one in the body."""
    async with fake_supabase_storage(true_statuses=true_statuses) as supabase:
        blobs = SupabaseBlobStore(supabase.url(), key=supabase.key)
        await blobs.put(KEY, pieces(b"sound"), WAV)
        with pytest.raises(BlobExists):
            await blobs.put(KEY, pieces(b"other"), WAV)
        await blobs.delete(KEY)
        await blobs.delete(KEY)
        with pytest.raises(BlobNotFound):
            await read(blobs, KEY)
        wrong_key = SupabaseBlobStore(supabase.url(), key="sb_secret_of_another")
        with pytest.raises(StorageUnavailable, match="refuses its credentials"):
            await wrong_key.put(KEY, pieces(b"sound"), WAV)
        nowhere = SupabaseBlobStore(supabase.url().replace("/audio/", "/no/"), key=supabase.key)
        with pytest.raises(StorageUnavailable, match="bucket does not exist"):
            await nowhere.put(KEY, pieces(b"sound"), WAV)
        for store in (blobs, wrong_key, nowhere):
            await store.aclose()


@pytest.mark.parametrize("status", [429, 500, 503, 544])
async def test_a_server_that_fails_is_unavailable(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage, status: int
) -> None:
    """Every method says so, once, and sends nothing again by itself: the orchestrator knows when to."""
    supabase.refusals.extend([Refusal(status)] * 2)
    with pytest.raises(StorageUnavailable) as caught:
        await blobs.put(KEY, pieces(b"sound"), WAV)
    assert caught.value.detail == f"supabase: {status}"
    assert supabase.objects == {}
    for use in (
        lambda: read(blobs, KEY),
        lambda: keys(blobs),
        lambda: blobs.delete(KEY),
        lambda: blobs.url(KEY, expires_in=1),
    ):
        supabase.refusals.append(Refusal(status))
        with pytest.raises(StorageUnavailable) as caught:
            await use()
        assert caught.value.detail == f"supabase: {status}"
    assert not supabase.refusals


async def test_what_was_stored_before_a_failure_is_known_again(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """F33: the gateway gave up on a server that stored all the same."""
    supabase.refusals.append(Refusal(504, late=True))
    await blobs.put(KEY, pieces(b"sound"), WAV)
    assert supabase.objects[f"app/{KEY}"].data == b"sound"


async def test_a_lost_answer_is_no_lost_blob(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """The connection ends after the blob was stored and before anybody heard so."""
    supabase.server.faults.append(WireFault(lose_reply=True))
    await blobs.put(KEY, pieces(b"sound"), WAV)
    assert await read(blobs, KEY) == b"sound"


async def test_equal_bytes_of_somebody_else_are_not_ours(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """Only the mark proves anything: another put of the same bytes still is another put."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    with pytest.raises(BlobExists):
        await blobs.put(KEY, pieces(b"sound"), WAV)
    supabase.refusals.append(Refusal(504))
    with pytest.raises(StorageUnavailable) as caught:
        await blobs.put(KEY, pieces(b"sound"), WAV)
    assert not isinstance(caught.value, BlobExists)


async def test_an_upload_that_is_cut_stores_nothing(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """The connection ends in the middle of the body."""
    supabase.server.faults.append(
        WireFault(path=f"/storage/v1/object/audio/app/{KEY}", cut_request_after=1_000_000)
    )
    with pytest.raises(StorageUnavailable):
        await blobs.put(KEY, pieces(bytes(3_000_000), 100_000), WAV)
    assert supabase.objects == {}


async def test_a_body_that_breaks_off_is_never_a_short_blob(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """Whatever came before, it isn't an end."""
    await blobs.put(KEY, pieces(bytes(1_000_000), 100_000), WAV)
    async with blobs.open(KEY) as stream:
        supabase.server.faults.append(WireFault(cut_reply_after=500_000, graceful=True))
        with pytest.raises(StorageUnavailable, match="Storage is temporarily"):
            await anext(chunk async for chunk in stream.chunks if not chunk)


async def test_a_blob_that_goes_while_it_is_open_is_missed(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """Deleted between the look and the first byte."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    async with blobs.open(KEY) as stream:
        supabase.objects.clear()
        with pytest.raises(BlobNotFound):
            await anext(stream.chunks)


async def test_a_download_that_does_not_begin_is_unavailable(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """The connection ends before the answer, or while a refusal is told."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    for fault in (WireFault(lose_reply=True), WireFault(cut_reply_after=120)):
        async with blobs.open(KEY) as stream:
            if fault.cut_reply_after:
                supabase.objects.clear()
            supabase.server.faults.append(fault)
            with pytest.raises(StorageUnavailable) as caught:
                await anext(stream.chunks)
            assert not isinstance(caught.value, BlobNotFound)


async def test_a_whole_answer_to_a_part_is_refused(supabase: FakeSupabaseStorage) -> None:
    """A proxy that ignores ranges would be read from the wrong place."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "/info/" in request.url.path:
            return httpx.Response(200, json={"size": 5, "content_type": WAV, "metadata": None})
        return httpx.Response(200, content=b"sound")

    transport = httpx.MockTransport(answer)
    blobs = SupabaseBlobStore(supabase.url(), key=supabase.key, transport=transport)
    with pytest.raises(StorageUnavailable) as caught:
        await read(blobs, KEY, start=1)
    assert caught.value.detail == "supabase: a part was asked for, and 200 came"
    await blobs.aclose()


async def test_what_is_not_whole_yet_is_not_there(supabase: FakeSupabaseStorage) -> None:
    """Older servers make a blob's row before its bytes are there."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "/info/" in request.url.path:
            return httpx.Response(200, json={"size": None, "content_type": None, "metadata": None})
        row = {"name": f"app/{KEY}", "metadata": None, "updated_at": "2026-01-01T00:00:00.000Z"}
        return httpx.Response(200, json={"hasNext": False, "objects": [row]})

    transport = httpx.MockTransport(answer)
    blobs = SupabaseBlobStore(supabase.url("app"), key=supabase.key, transport=transport)
    with pytest.raises(BlobNotFound):
        await read(blobs, KEY)
    assert await keys(blobs) == []
    await blobs.aclose()


async def test_a_silent_server_is_left(supabase: FakeSupabaseStorage) -> None:
    """Whoever doesn't answer within the store's patience has failed."""
    blobs = SupabaseBlobStore(supabase.url(), key=supabase.key, patience=0.2)
    supabase.server.faults.extend([WireFault(stall=anyio.Event()) for _ in range(3)])
    with anyio.fail_after(10):
        with pytest.raises(StorageUnavailable):
            await blobs.put(KEY, pieces(b"sound"), WAV)
        with pytest.raises(StorageUnavailable):
            await read(blobs, KEY)
    await blobs.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"size":"1"}',
        b'{"objects":[{}]}',
        b'{"objects":[1]}',
        b'{"objects":[{"name":1,"metadata":{},"updated_at":1}]}',
        b'{"objects":[{"name":"a","metadata":{"size":"1"},"updated_at":"2026-01-01"}]}',
        b'{"objects":[{"name":"a","metadata":{"size":1},"updated_at":"yesterday"}]}',
        b'{"signedURL":"//evil"}',
    ],
)
async def test_a_reply_that_can_not_be_read_is_unavailable(
    supabase: FakeSupabaseStorage, body: bytes
) -> None:
    """A good status with something else in it."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body)

    transport = httpx.MockTransport(answer)
    blobs = SupabaseBlobStore(supabase.url(), key=supabase.key, transport=transport)
    for use in (
        lambda: read(blobs, KEY),
        lambda: keys(blobs),
        lambda: blobs.url(KEY, expires_in=1),
    ):
        with pytest.raises(StorageUnavailable):
            await use()
    await blobs.aclose()


async def test_a_put_that_is_cancelled_at_its_end_is_undone(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage
) -> None:
    """The blob is stored, but nobody waits for the answer any more: nobody would know of it."""
    answer = anyio.Event()
    supabase.server.faults.append(WireFault(stall=answer))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(blobs.put, KEY, pieces(b"sound"), WAV)
            await supabase.server.received(1)
            scope.cancel()
            answer.set()
    assert scope.cancelled_caught
    assert [request.method for request in supabase.server.requests] == ["POST", "DELETE"]
    assert supabase.objects == {}


async def test_shows_no_secret_wherever_it_fails(
    blobs: SupabaseBlobStore, supabase: FakeSupabaseStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """The key, and the tokens of signed links, are in no exception, no repr and no log line."""
    caplog.set_level(logging.DEBUG)
    await blobs.put(KEY, pieces(b"sound"), WAV)
    await blobs.url(KEY, expires_in=60)
    shown = [repr(blobs), repr(supabase.server.requests)]
    for fault in (WireFault(lose_reply=True), WireFault(cut_reply_after=20)):
        for use in (lambda: read(blobs, KEY), lambda: keys(blobs), lambda: blobs.delete(KEY)):
            supabase.server.faults.append(fault)
            with pytest.raises(StorageUnavailable) as caught:
                await use()
            shown += [*traceback.format_exception(caught.value), str(caught.value.detail)]
    for text in (*shown, caplog.text):
        assert supabase.key not in text
        assert "token=" not in text
