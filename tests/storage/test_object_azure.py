"""The blob store in Azure Blob Storage, against Azurite, Microsoft's own emulator.

It is a package for node, so this is collected only where ``TTSORCH_AZURITE`` names its ``azurite-blob``:
``make test`` installs it and does so where there is npm.
"""

import base64
import hashlib
import hmac
import os
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate

import httpx
import pytest

from ttsorch.protocols import BlobStore
from ttsorch.storage.object import ObjectBlobStore
from ttsorch.testing.blob_store import BlobStoreSuite, RawRead
from ttsorch.testing.blob_store_tools import KEY, WAV, ProviderWentAway, pieces

# Azurite's only account; its key is printed in its documentation.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
VERSION = "2021-08-06"


@pytest.fixture
def anyio_backend() -> str:
    """obstore needs asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def azurite() -> Iterator[str]:
    """The account's endpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["TTSORCH_AZURITE"], "--inMemoryPersistence", "--silent"]
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck"]
    with subprocess.Popen([*command, *options, "--disableTelemetry"]) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "Azurite did not start"
            time.sleep(0.05)


@pytest.fixture
def container(azurite: str) -> str:
    """A new one, whose blobs anybody may read: so a test can look past the store."""
    name = f"container-{uuid.uuid4().hex[:12]}"
    date = formatdate(usegmt=True)
    headers = {"x-ms-blob-public-access": "blob", "x-ms-date": date, "x-ms-version": VERSION}
    canonical = "".join(f"{field}:{value}\n" for field, value in sorted(headers.items()))
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    message = f"PUT{chr(10) * 12}{canonical}{resource}".encode()
    digest = hmac.digest(base64.b64decode(ACCOUNT_KEY), message, hashlib.sha256)
    signature = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    httpx.put(
        f"{azurite}/{name}?restype=container", headers={**headers, "authorization": signature}
    ).raise_for_status()
    return name


@pytest.fixture
def blobs(azurite: str, container: str) -> BlobStore:
    return ObjectBlobStore(
        f"az://{container}/audio?account={ACCOUNT}&endpoint={azurite}",
        credentials={"account_key": ACCOUNT_KEY},
    )


@pytest.fixture
def raw(azurite: str, container: str) -> RawRead:
    def read(key: str) -> bytes | None:
        answer = httpx.get(f"{azurite}/{container}/audio/{key}")
        return None if answer.status_code == 404 else answer.raise_for_status().content

    return read


class TestObjectBlobStore(BlobStoreSuite):
    pass


@pytest.mark.anyio
async def test_stores_the_content_type_for_whoever_gets_the_link(blobs: BlobStore) -> None:
    """A shared access signature opens the blob, with the type that it was put with."""
    await blobs.put(KEY, pieces(b"sound"), WAV)
    link = await blobs.url(KEY, expires_in=60)
    assert link is not None
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(link)
    assert (answer.status_code, answer.content) == (200, b"sound")
    assert answer.headers["content-type"] == WAV


@pytest.mark.anyio
async def test_blocks_of_an_upload_that_failed_are_no_blob(blobs: BlobStore, raw: RawRead) -> None:
    """Azure has no abort: blocks that nobody commits are invisible, and dropped within a week."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(11_000_000)
        raise ProviderWentAway

    with pytest.raises(ProviderWentAway):
        await blobs.put(KEY, chunks(), WAV)
    assert raw(KEY) is None
