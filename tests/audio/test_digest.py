"""The hash of what passes, computed beside the reading."""

import gc
import hashlib
import random
import threading

import pytest

from ttsorch._audio.digest import Digest

pytestmark = pytest.mark.anyio

_THREAD = "ttsorch-sha256"


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(_THREAD)]


@pytest.mark.parametrize("chunk_size", [1, 4096, 262_144, 300_000, 2_000_000])
async def test_it_is_the_hash_of_all_bytes_in_their_order(chunk_size: int) -> None:
    """However they are cut: in the caller's thread or in another one, nothing is left out or overtaken."""
    whole = random.Random(7).randbytes(min(2_000_003, 3000 * chunk_size + 1))
    digest = Digest()
    for at in range(0, len(whole), chunk_size):
        await digest.add(whole[at : at + chunk_size])
    await digest.end()
    assert digest.hexdigest() == hashlib.sha256(whole).hexdigest()


async def test_a_short_clip_needs_no_thread() -> None:
    """Most results are hashed faster than a thread starts."""
    before = _threads()
    digest = Digest()
    await digest.add(b"short")
    assert _threads() == before
    await digest.end()
    assert digest.hexdigest() == hashlib.sha256(b"short").hexdigest()


@pytest.mark.parametrize("ended", [True, False])
async def test_the_thread_ends_with_the_digest(ended: bool) -> None:
    """Also with one that was left half way, as that of a download that broke off."""
    before = set(_threads())
    digest = Digest()
    for _ in range(3):
        await digest.add(bytes(300_000))
    (thread,) = set(_threads()) - before
    if ended:
        await digest.end()
    del digest
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()
