"""Tasks: what each poll shows, cancel, delete, and the listing that a reloaded page resumes from."""

from datetime import UTC, datetime

import pytest

from tests.contract.world import MISSING_ID, World, a_world
from ttsorch.errors import Category, NotReady, ProviderTimeout, ProviderUnavailable
from ttsorch.models import ErrorInfo, Job
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider

pytestmark = pytest.mark.anyio

V1_KEYS = {
    "id",
    "type",
    "status",
    "error",
    "provider",
    "provider_status",
    "provider_poll_count",
    "modal_status",
    "modal_elapsed_seconds",
    "modal_poll_count",
}
ADDED_KEYS = {
    "created_at",
    "completed_at",
    "generation_id",
    "voice_name",
    "text_preview",
    "language",
    "estimated_duration_minutes",
    "supports_cancel",
    "progress",
    "poll_after_ms",
    "error_code",
    "error_category",
}


async def test_a_running_task_has_every_key_but_result() -> None:
    """R4 and A2, with nothing missing and nothing renamed."""
    async with a_world(FakeJobProvider(checks_until_ready=5, words=["warming_up"])) as world:
        task_id, generation_id = await world.generate("Hello, world.")
        task = await world.poll(task_id)
        assert task.keys() == V1_KEYS | ADDED_KEYS
        assert task == {
            "id": task_id,
            "type": "generate",
            "status": "processing",
            "error": None,
            "provider": "fake",
            "provider_status": "warming_up",
            "provider_poll_count": 1,
            "modal_status": None,
            "modal_elapsed_seconds": None,
            "modal_poll_count": 0,
            "created_at": "2026-01-01T00:00:00Z",
            "completed_at": None,
            "generation_id": generation_id,
            "voice_name": "Anna",
            "text_preview": "Hello, world.",
            "language": "Auto",
            "estimated_duration_minutes": 0.1,
            "supports_cancel": True,
            "progress": None,
            "poll_after_ms": 500,
            "error_code": None,
            "error_category": None,
        }


async def test_a_completed_task_has_its_stable_audio_url() -> None:
    """4.4: never a provider's URL; and nothing is left to poll or cancel."""
    async with a_world() as world:
        task_id, generation_id = await world.finish()
        task = await world.poll(task_id)
        assert task.keys() == V1_KEYS | ADDED_KEYS | {"result"}
        assert task["result"] == {"audio_url": f"/api/generations/{generation_id}/audio"}
        assert task["provider_status"] == "completed"
        assert task["completed_at"] == "2026-01-01T00:00:00Z"
        assert (task["poll_after_ms"], task["supports_cancel"]) == (None, False)


async def test_the_modal_fields_mirror_the_neutral_ones_for_modal() -> None:
    """4.1, for the one provider that old clients know by name."""
    async with a_world(FakeJobProvider("modal", checks_until_ready=5, words=["queued"])) as world:
        task_id, _ = await world.generate()
        await world.poll(task_id)
        task = await world.poll(task_id)
        assert (task["modal_status"], task["modal_poll_count"]) == ("queued", 2)
        assert task["modal_elapsed_seconds"] == 2.0


async def test_a_failed_status_check_is_shown_and_not_stored() -> None:
    """4.2: 200, status unchanged, a clean sentence; the poll is counted all the same."""
    async with a_world() as world:
        task_id, _ = await world.generate()
        world.provider.script.check.append(ProviderUnavailable(detail="secret host refused"))
        task = await world.poll(task_id)
        assert (task["status"], task["provider_status"]) == ("processing", "status_error")
        assert task["error"] == "Provider is temporarily unavailable. Please try again."
        assert task["error_category"] == "provider_unavailable"
        assert task["provider_poll_count"] == 1
        assert (await world.jobs())[0].task.error is None
        assert (await world.poll(task_id))["error"] is None


async def test_a_result_that_is_not_there_yet_is_finalizing() -> None:
    """4.3: processing, and no error that would make a user try again."""
    async with a_world() as world:
        task_id, _ = await world.generate()
        world.provider.script.fetch.append(NotReady())
        await world.poll(task_id)
        task = await world.poll(task_id)
        assert (task["status"], task["provider_status"]) == ("processing", "finalizing")
        assert (task["error"], task["error_code"]) == (None, None)


async def test_a_failed_task_says_why() -> None:
    """The provider's failure, as the adapter cleaned it."""
    async with a_world() as world:
        task_id, _ = await world.generate()
        assert isinstance(world.provider, FakeJobProvider)
        world.provider.jobs["job-1"].failure = ErrorInfo(
            Category.PROVIDER_REJECTED, "voice_gone", "The voice does not exist.", detail="raw"
        )
        task = await world.poll(task_id)
        assert (task["status"], task["error"]) == ("failed", "The voice does not exist.")
        assert (task["error_code"], task["error_category"]) == ("voice_gone", "provider_rejected")
        assert "result" not in task


async def test_a_deadline_is_a_timeout() -> None:
    """The contract's words for it."""
    async with a_world(FakeJobProvider(checks_until_ready=100)) as world:
        task_id, _ = await world.generate()
        world.clock.advance(100_000)
        task = await world.poll(task_id)
        assert (task["status"], task["error"]) == ("failed", ProviderTimeout.default_message)
        assert task["error_category"] == "timeout"


async def test_a_direct_task_is_driven_by_its_poll() -> None:
    """With nothing running in the background, the poll itself does the work; before it, the task already
    is what its first answer said, and only the word tells that it waits."""
    async with a_world(FakeDirectProvider()) as world:
        task_id, _ = await world.generate()
        listed = await world.ask("GET", "/api/tasks")
        queued = listed.only("tasks")
        assert (queued["status"], queued["provider_status"]) == ("processing", "provider_queued")
        assert (await world.poll(task_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("waited", "hint"), [(0, 500), (4.9, 500), (10, 1000), (49.99, 4999), (50, 5000), (9000, 5000)]
)
async def test_the_hint_when_to_poll_again_grows_with_the_time_waited(
    waited: float, hint: int
) -> None:
    """Half a second at first, never more than five."""
    async with a_world(FakeJobProvider(checks_until_ready=5)) as world:
        await world.generate()
        world.clock.advance(min(1000, waited))
        task = (await world.ask("GET", "/api/tasks")).only("tasks")
        assert task["poll_after_ms"] == hint


async def test_the_hint_is_in_a_header_too_as_long_as_there_is_one() -> None:
    """In whole seconds, never less than the body says; a task that ended has none."""
    async with a_world(FakeJobProvider(checks_until_ready=2)) as world:
        task_id, _ = await world.generate()
        seen = []
        for seconds in (0, 11, 0, 0):
            world.clock.advance(seconds)
            polled = await world.ask("GET", f"/api/tasks/{task_id}")
            seen.append((polled.json["poll_after_ms"], polled.headers.get("retry-after")))
        assert seen == [(500, "1"), (1100, "2"), (None, None), (None, None)]


@pytest.mark.parametrize(
    ("text", "preview"),
    [
        ("One\n two", "One two"),
        ("a" * 100, "a" * 100),
        ("a" * 101, "a" * 99 + "…"),
        ("word " * 300, "word " * 19 + "word…"),
    ],
)
async def test_a_long_text_is_shown_shortened(text: str, preview: str) -> None:
    """On one line, at most a hundred characters."""
    async with a_world() as world:
        task_id, _ = await world.generate(text)
        assert (await world.poll(task_id))["text_preview"] == preview


async def test_a_task_outlives_its_generation() -> None:
    """What the deleted generation said is gone; the task is still there."""
    async with a_world() as world:
        task_id, generation_id = await world.finish()
        await world.ask("DELETE", f"/api/generations/{generation_id}")
        task = await world.poll(task_id)
        assert (task["status"], task["text_preview"], task["language"]) == ("completed", None, None)
        assert task["generation_id"] == generation_id


# --- cancel and delete --------------------------------------------------------------------------------


async def test_an_active_task_can_be_cancelled_without_any_body() -> None:
    """R5: both rows say so, the provider is told, and the words are the contract's."""
    async with a_world() as world:
        task_id, generation_id = await world.generate()
        answer = await world.ask("POST", f"/api/tasks/{task_id.upper()}/cancel")
        assert (answer.status, answer.json) == (200, {"cancelled": True, "task_id": task_id})
        task = await world.poll(task_id)
        assert (task["status"], task["error"]) == ("cancelled", "Cancelled by user")
        generation = await world.orchestrator.get_generation(generation_id, owner="ann")
        assert generation.error_message == "Cancelled by user"
        assert world.provider.ledger.cancels == ["job-1"]


async def test_what_has_ended_can_not_be_cancelled() -> None:
    """400 with the status as it is."""
    async with a_world() as world:
        task_id, _ = await world.finish()
        answer = await world.ask("POST", f"/api/tasks/{task_id}/cancel")
        assert (answer.status, answer.detail) == (400, "Cannot cancel task with status: completed")
        other, _ = await world.generate()
        await world.ask("POST", f"/api/tasks/{other}/cancel")
        again = await world.ask("POST", f"/api/tasks/{other}/cancel")
        assert (again.status, again.detail) == (400, "Cannot cancel task with status: cancelled")


async def test_a_cancel_that_lost_the_race_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """409 when the task completed between the look and the cancel."""
    async with a_world() as world:
        task_id, _ = await world.generate()
        await world.poll(task_id)
        look = world.orchestrator.get

        async def look_then_complete(wanted: str, *, owner: str) -> Job:
            seen = await look(wanted, owner=owner)
            monkeypatch.undo()
            await world.poll(task_id)
            return seen

        monkeypatch.setattr(world.orchestrator, "get", look_then_complete)
        answer = await world.ask("POST", f"/api/tasks/{task_id}/cancel")
        assert (answer.status, answer.detail) == (409, "Task is no longer cancellable.")
        assert (await world.poll(task_id))["status"] == "completed"


async def test_deleting_a_task_keeps_what_it_made() -> None:
    """R6 and 4.6: the generation and its audio stay; the task is gone for good."""
    async with a_world() as world:
        task_id, generation_id = await world.finish()
        answer = await world.ask("DELETE", f"/api/tasks/{task_id}")
        assert (answer.status, answer.json) == (200, {"ok": True})
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel")):
            gone = await world.ask(method, f"/api/tasks/{task_id}{path}")
            assert (gone.status, gone.detail) == (404, "Task not found.")
        assert (await world.ask("GET", await world.audio_link(generation_id))).status == 200


async def test_deleting_an_active_task_cancels_it() -> None:
    """4.6."""
    async with a_world() as world:
        task_id, generation_id = await world.generate()
        await world.ask("DELETE", f"/api/tasks/{task_id}")
        generation = await world.orchestrator.get_generation(generation_id, owner="ann")
        assert generation.status == "cancelled"


@pytest.mark.parametrize(
    "task_id", [MISSING_ID, "x", "%00", "..", "1" * 5000, "é", MISSING_ID + "0"]
)
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel")])
async def test_a_missing_or_malformed_task_is_not_found(
    method: str, rest: str, task_id: str
) -> None:
    """404 on each of its routes."""
    async with a_world() as world:
        answer = await world.ask(method, f"/api/tasks/{task_id}{rest}")
        assert (answer.status, answer.detail) == (404, "Task not found.")


# --- the listing --------------------------------------------------------------------------------------


async def _three(world: World) -> list[str]:
    """Ids, oldest first: one completed, two active."""
    ids = []
    for step in range(3):
        task_id, _ = await (world.finish() if step == 0 else world.generate())
        ids.append(task_id)
        world.clock.advance(1)
    return ids


def _ids(body: dict[str, object]) -> list[str]:
    tasks = body["tasks"]
    assert isinstance(tasks, list)
    return [task["id"] for task in tasks]


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ("", "active", [2, 1]),
        ("?status=active", "active", [2, 1]),
        ("?status=terminal", "terminal", [0]),
        ("?status=all", "all", [2, 1, 0]),
        ("?status=junk", "active", [2, 1]),
        ("?status=all&type=generate", "all", [2, 1, 0]),
        ("?status=all&type=design_preview", "all", []),
        ("?status=all&type=junk", "all", [2, 1, 0]),
    ],
)
async def test_the_listing_shows_what_was_asked_for(
    query: str, status: str, expected: list[int]
) -> None:
    """A1, newest first; junk falls back to what is active, of any type."""
    async with a_world() as world:
        ids = await _three(world)
        body = (await world.ask("GET", f"/api/tasks{query}")).json
        assert body.keys() == {"tasks", "status", "type", "limit", "next_before"}
        assert _ids(body) == [ids[index] for index in expected]
        assert (body["status"], body["limit"], body["next_before"]) == (status, 20, None)


async def test_the_listing_goes_on_where_it_stopped() -> None:
    """next_before leads to the next page, and to an end; no poll is counted on the way."""
    async with a_world() as world:
        ids = await _three(world)
        seen, target = [], "/api/tasks?status=all&limit=1"
        for _ in range(5):
            body = (await world.ask("GET", target)).json
            seen += _ids(body)
            if body["next_before"] is None:
                break
            target = f"/api/tasks?status=all&limit=1&before={body['next_before']}"
        assert seen == ids[::-1]
        assert [job.task.poll_count for job in await world.jobs()][:2] == [0, 0]


@pytest.mark.parametrize(
    ("limit", "shown"), [("50", 50), ("51", 50), ("0", 20), ("-1", 20), ("x", 20), ("9" * 99, 50)]
)
async def test_the_limit_of_the_listing_is_capped(limit: str, shown: int) -> None:
    """At most fifty; junk is the default."""
    async with a_world() as world:
        assert (await world.ask("GET", f"/api/tasks?limit={limit}")).json["limit"] == shown


@pytest.mark.parametrize(
    "before",
    [
        "",
        "junk",
        "_",
        f"x_{MISSING_ID}",
        "9999-12-31T23:59:59-23:59",
        "%00",
        "2026-13-01T00:00:00Z",
    ],
)
async def test_a_forged_cursor_is_the_start(before: str) -> None:
    """It shows nothing that the owner couldn't see anyway."""
    async with a_world() as world:
        ids = await _three(world)
        body = (await world.ask("GET", f"/api/tasks?status=all&before={before}")).json
        assert _ids(body) == ids[::-1]


@pytest.mark.parametrize(
    "before", ["2026-01-01T00:00:01Z", "2026-01-01T01:00:01%2B01:00", "2026-01-01T00:00:01"]
)
async def test_a_bare_time_is_a_cursor_too(before: str) -> None:
    """Everything from before that moment, in whatever zone it is given."""
    async with a_world() as world:
        ids = await _three(world)
        assert world.clock() == datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)
        body = (await world.ask("GET", f"/api/tasks?status=all&before={before}")).json
        assert _ids(body) == ids[:1]
