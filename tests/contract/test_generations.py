"""The history, its audio's redirect, delete and regenerate (R7 to R10)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.contract.world import MISSING_ID, SIGNING_KEY, VOICE, World, a_world
from ttsorch.contract import ContractHandler
from ttsorch.models import Job, Status
from ttsorch.store.memory import MemoryTaskStore
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio


async def _history(world: World, query: str = "") -> tuple[list[str], dict[str, object]]:
    body = (await world.ask("GET", f"/api/generations{query}")).json
    assert body.keys() == {"generations", "pagination"}
    generations, pagination = body["generations"], body["pagination"]
    assert isinstance(generations, list)
    assert isinstance(pagination, dict)
    return [generation["text"] for generation in generations], pagination


async def test_a_line_of_the_history_has_exactly_its_keys() -> None:
    """R7, for something that completed a while after it began."""
    async with a_world() as world:
        task_id, generation_id = await world.generate("Hello, world.")
        await world.poll(task_id)
        world.clock.advance(2.5)
        await world.poll(task_id)
        body = (await world.ask("GET", "/api/generations")).json
        assert body == {
            "generations": [
                {
                    "id": generation_id,
                    "voice_id": VOICE,
                    "voice_name": "Anna",
                    "text": "Hello, world.",
                    "audio_path": f"/api/generations/{generation_id}/audio",
                    "duration_seconds": 0.25,
                    "language": "Auto",
                    "status": "completed",
                    "generation_time_seconds": 2.5,
                    "error_message": None,
                    "created_at": "2026-01-01T00:00:00Z",
                }
            ],
            "pagination": {"page": 1, "per_page": 20, "total": 1, "pages": 1},
        }


async def test_an_unfinished_and_a_cancelled_line_have_nulls_where_nothing_is() -> None:
    """The keys are there all the same; a cancelled one says why."""
    async with a_world() as world:
        task_id, _ = await world.generate()
        running = (await world.ask("GET", "/api/generations")).only("generations")
        assert (running["duration_seconds"], running["generation_time_seconds"]) == (None, None)
        await world.ask("POST", f"/api/tasks/{task_id}/cancel")
        ended = (await world.ask("GET", "/api/generations")).only("generations")
        assert (ended["status"], ended["error_message"]) == ("cancelled", "Cancelled by user")


@pytest.mark.parametrize(
    ("query", "page", "per_page", "shown"),
    [
        ("", 1, 20, 3),
        ("?per_page=2", 1, 2, 2),
        ("?page=2&per_page=2", 2, 2, 1),
        ("?page=9&per_page=2", 9, 2, 0),
        ("?page=0", 1, 20, 3),
        ("?page=-1&per_page=-5", 1, 20, 3),
        ("?page=x&per_page=y", 1, 20, 3),
        ("?page=1.5&per_page=1e1", 1, 20, 3),
        ("?page=&per_page=", 1, 20, 3),
        ("?page=%D9%A1&per_page=%EF%BC%91", 1, 20, 3),
        ("?per_page=100", 1, 100, 3),
        ("?per_page=101", 1, 100, 3),
        ("?per_page=007", 1, 7, 3),
        ("?page=" + "9" * 5000, 1, 20, 3),
        ("?page=99999999999999999999", 10**9, 20, 0),
        ("?page=1&page=2&per_page=1", 2, 1, 1),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_pages_are_lenient_about_junk(
    query: str, page: int, per_page: int, shown: int
) -> None:
    """C8: junk is the default, too much is the cap, past the end is empty."""
    async with a_world() as world:
        for text in ("one", "two", "three"):
            await world.generate(text)
        texts, pagination = await _history(world, query)
        assert len(texts) == shown
        assert pagination == {
            "page": page,
            "per_page": per_page,
            "total": 3,
            "pages": max(1, -(-3 // per_page)),
        }


async def test_an_empty_history_still_has_one_page() -> None:
    """C8: pages >= 1."""
    async with a_world() as world:
        assert await _history(world) == ([], {"page": 1, "per_page": 20, "total": 0, "pages": 1})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?search=STRASSE", ["Straße"]),
        ("?search=%25", ["100 % of it"]),
        ("?search=_", []),
        ("?search=%20", ["Straße", "100 % of it"]),
        ("?search=%00", []),
        ("?search=%FF", []),
        ("?search=anna", []),
        ("?status=all", ["Straße", "100 % of it"]),
        ("?status=%20", ["Straße", "100 % of it"]),
        ("?status=completed", ["100 % of it"]),
        ("?status=processing", ["Straße"]),
        ("?status=COMPLETED", []),
        ("?status=junk", []),
        ("?status=completed&search=straße", []),
    ],
)
async def test_search_and_status_narrow_the_history(query: str, expected: list[str]) -> None:
    """R7: only the text is searched, ``%`` and ``_`` mean themselves, a status nobody has matches nothing."""
    async with a_world() as world:
        await world.finish("100 % of it")
        world.clock.advance(1)
        await world.generate("Straße")
        texts, pagination = await _history(world, query)
        assert (texts, pagination["total"]) == (expected, len(expected))


@pytest.mark.parametrize("page", [1, 2])
async def test_what_waits_is_processing_and_never_pending(page: int) -> None:
    """4.5: the first answer was processing already; the filters agree with what is shown, page by page.
    In Python the rows' own words count."""
    async with a_world(FakeDirectProvider()) as world:
        await world.finish("done")
        for text in ("one", "two"):
            world.clock.advance(1)
            await world.generate(text)
        query = f"status=processing&per_page=1&page={page}"
        line = (await world.ask("GET", f"/api/generations?{query}")).only("generations")
        assert (line["text"], line["status"]) == (["two", "one"][page - 1], "processing")
        texts, pagination = await _history(world, f"?{query}")
        assert pagination["total"] == 2
        texts, pagination = await _history(world, "?status=pending")
        assert (texts, pagination["total"]) == ([], 0)
        assert (await world.orchestrator.history(owner="ann", status=Status.PENDING)).total == 2


# --- audio --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_audio_is_a_redirect_that_nobody_keeps(method: str) -> None:
    """R8: 302 to a URL that opens for an hour, and is kept out of every cache."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        answer = await world.ask(method, f"/api/generations/{generation_id}/audio")
        assert (answer.status, answer.content) == (302, b"")
        assert answer.headers["cache-control"] == "private, no-store"
        link = urlsplit(answer.headers["location"])
        assert link.path.startswith("/api/media/")
        assert parse_qs(link.query)["expires"] == [str(int(world.clock().timestamp()) + 3600)]


async def test_a_mounted_contract_redirects_below_its_mount() -> None:
    """The signed URL is where the page sees this application."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        answer = await world.ask("GET", f"/api/generations/{generation_id}/audio", root="/tts")
        assert answer.headers["location"].startswith("/tts/api/media/")


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[World, str]]:
    """A generation whose blob store signs URLs of its own."""
    async with a_world() as world:
        _, generation_id = await world.finish()

        async def url(key: str, *, expires_in: float) -> str:
            return f"https://bucket.example/{key}?for={expires_in:.0f}"

        monkeypatch.setattr(world.blobs, "url", url)
        yield world, generation_id


async def test_a_blob_stores_own_url_is_used(bucket: tuple[World, str]) -> None:
    """An object store serves its blobs itself."""
    world, generation_id = bucket
    link = await world.audio_link(generation_id)
    assert link.startswith("https://bucket.example/")
    assert link.endswith("?for=3600")


async def test_a_host_may_want_links_of_its_own_only(bucket: tuple[World, str]) -> None:
    """For a page that may load from no other host."""
    world, generation_id = bucket
    world.handler = ContractHandler(world.orchestrator, signing_key=SIGNING_KEY, own_links=True)
    link = await world.audio_link(generation_id)
    assert link.startswith("/api/media/")
    assert (await world.ask("GET", link, owner=None)).status == 200


async def test_a_generation_without_audio_says_so() -> None:
    """404, with the contract's second sentence."""
    async with a_world() as world:
        _, generation_id = await world.generate()
        answer = await world.ask("GET", f"/api/generations/{generation_id}/audio")
        assert (answer.status, answer.detail) == (404, "Generation audio not available.")


async def test_audio_that_its_store_has_lost_is_not_available(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same 404 instead of a link to nothing; whoever runs this reads about it."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        async for blob in world.blobs.list(""):
            await world.blobs.delete(blob.key)
        with caplog.at_level("WARNING"):
            answer = await world.ask("GET", f"/api/generations/{generation_id}/audio")
        assert (answer.status, answer.detail) == (404, "Generation audio not available.")
        assert generation_id in caplog.text


async def test_a_key_outside_the_owners_prefix_is_never_signed() -> None:
    """403: such a row can only come from elsewhere, and the URL would open another owner's blob."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        assert isinstance(world.store, MemoryTaskStore)
        ours = world.store._generations[generation_id]
        assert ours.audio is not None
        foreign = replace(ours.audio, key=f"{'0' * 32}/{generation_id}/1.wav")
        world.store._generations[generation_id] = replace(ours, audio=foreign)
        answer = await world.ask("GET", f"/api/generations/{generation_id}/audio")
        assert (answer.status, answer.detail) == (403, "Invalid storage object key.")


async def test_deleting_a_generation_removes_its_audio() -> None:
    """R9: the row and the blob, for good."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        link = await world.audio_link(generation_id)
        answer = await world.ask("DELETE", f"/api/generations/{generation_id}")
        assert (answer.status, answer.json) == (200, {"ok": True})
        assert [blob async for blob in world.blobs.list("")] == []
        gone = await world.ask("GET", link)
        assert (gone.status, gone.detail) == (404, "The stored audio is missing.")


async def test_deleting_a_generation_keeps_audio_that_another_row_names() -> None:
    """Rows that came from elsewhere may share a blob, with another owner even: who deletes one line of a
    history takes nothing from another."""
    async with a_world() as world:
        _, hers = await world.finish()
        link = await world.audio_link(hers)
        audio = (await world.orchestrator.get_generation(hers, owner="ann")).audio
        task_id, his = await world.finish(owner="bob")
        job = await world.orchestrator.get(task_id, owner="bob")
        assert job.generation is not None
        shared = Job(
            replace(job.task, audio=audio, version=job.task.version + 1),
            replace(job.generation, audio=audio),
        )
        assert await world.store.replace(
            shared.task, shared.generation, expected_version=job.task.version
        )
        answer = await world.ask("DELETE", f"/api/generations/{his}", owner="bob")
        assert answer.status == 200
        assert (await world.ask("GET", link)).status == 200
        assert (await world.ask("DELETE", f"/api/generations/{hers}")).status == 200
        assert (await world.ask("GET", link)).status == 404


async def test_deleting_a_generation_cancels_its_active_job() -> None:
    """R9: what nobody wants any more is not paid for further."""
    async with a_world(FakeJobProvider(checks_until_ready=9)) as world:
        task_id, generation_id = await world.generate()
        assert (await world.ask("DELETE", f"/api/generations/{generation_id}")).status == 200
        assert (await world.poll(task_id))["status"] == "cancelled"
        assert world.provider.ledger.cancels == ["job-1"]


# --- regenerate ---------------------------------------------------------------------------------------


async def test_regenerate_leads_to_a_filled_form_and_starts_nothing() -> None:
    """R10: percent-encoding exactly as encodeURIComponent does it."""
    text = "Grüß Gott! (it's) 100% a+b/c?d&e=f~g*h_i-j.k\n😀"
    async with a_world() as world:
        _, generation_id = await world.finish(text)
        answer = await world.ask("POST", f"/api/generations/{generation_id}/regenerate")
        assert answer.status == 200
        assert answer.json == {
            "voice_id": VOICE,
            "text": text,
            "language": "Auto",
            "redirect_url": (
                f"/generate?voice={VOICE}&text=Gr%C3%BC%C3%9F%20Gott!%20(it's)%20100%25%20a%2Bb%2Fc%3Fd"
                "%26e%3Df~g*h_i-j.k%0A%F0%9F%98%80&language=Auto"
            ),
        }
        assert len(await world.jobs()) == 1


async def test_a_generation_without_a_voice_can_not_be_regenerated() -> None:
    """400: an old row may have none."""
    async with a_world() as world:
        _, generation_id = await world.finish()
        assert isinstance(world.store, MemoryTaskStore)
        old = world.store._generations[generation_id]
        world.store._generations[generation_id] = replace(old, voice_id="")
        answer = await world.ask("POST", f"/api/generations/{generation_id}/regenerate")
        assert (answer.status, answer.detail) == (400, "Generation has no voice_id.")


@pytest.mark.parametrize("generation_id", [MISSING_ID, "x", "%00", "1" * 5000])
@pytest.mark.parametrize(
    ("method", "rest", "detail"),
    [
        ("GET", "/audio", "Generation not found."),
        ("DELETE", "", "Generation not found."),
        ("POST", "/regenerate", "Generation not found"),
    ],
)
async def test_a_missing_or_malformed_generation_is_not_found(
    method: str, rest: str, detail: str, generation_id: str
) -> None:
    """404 on each of its routes; regenerate's sentence has no full stop."""
    async with a_world() as world:
        answer = await world.ask(method, f"/api/generations/{generation_id}{rest}")
        assert (answer.status, answer.detail) == (404, detail)
