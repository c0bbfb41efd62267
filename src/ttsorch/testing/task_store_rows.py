"""The part of the task store's suite about rows: what is stored, get, polls, delete."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ttsorch.errors import Category
from ttsorch.models import ErrorInfo, Job, JsonValue, Voice, VoiceSource
from ttsorch.protocols import TaskStore
from ttsorch.testing.naughty_strings import NAUGHTY_BY_KIND
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    cancelled,
    completed,
    generation_of,
    new_job,
    owing,
    race,
    ready,
    running,
    started,
    stored,
    unanswered,
)

_CONCURRENT = 20

_FULL_ERROR = ErrorInfo(
    category=Category.TIMEOUT,
    code="code",
    message="message",
    detail="detail",
    retryable=True,
    retry_after=1.5,
    provider_code="E42",
    request_id="r-1",
    ambiguous=True,
    started=True,
)


def _full_voice(now: datetime) -> Voice:
    return Voice(
        id="v",
        name="Vera",
        tts_provider="fake",
        owner=ANNA,
        source=VoiceSource.DESIGNED,
        language="de",
        description="warm",
        reference_transcript="Hallo",
        reference_audio_key="anna/v/1.wav",
        provider_voice_id="p-1",
        provider_target_model="model-2",
        provider_voice_kind="clone",
        created_at=now - timedelta(days=9000, microseconds=1),
        deleted_at=now,
    )


class RowCases:
    # --- what is stored -------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", NAUGHTY_BY_KIND)
    async def test_strings_come_back_as_they_were(self, store: TaskStore, kind: str) -> None:
        """Whatever text a record holds, exactly that comes back; as an owner or id it finds its row."""
        for text in NAUGHTY_BY_KIND[kind]:
            name = text[:200]  # as long as an id or a key may be
            job = new_job(
                store.now(), owner=f"o{name}", id=f"t{name}", text=text, idempotency_key=f"k{name}"
            )
            voice = Voice(id=text, name=text, tts_provider=text, description=text)
            options: dict[str, JsonValue] = {text: [text, {"k": text}]}
            task = replace(job.task, provider=text, voice=voice, options=options)
            await store.create(task, job.generation)
            assert await store.get(f"o{name}", f"t{name}") == Job(task, job.generation)

    async def test_every_field_comes_back(self, store: TaskStore) -> None:
        """Times to the microsecond, whatever zone they came in; nested JSON; every optional field."""
        now = store.now().replace(microsecond=999_999).astimezone(timezone(timedelta(hours=5.5)))
        voice = _full_voice(now)
        options: dict[str, JsonValue] = {
            "rate": 1.1,
            "deep": {"list": [1, None, True, 10**17, 0.1, "ß"]},
            "empty": {},
        }
        job = completed(new_job(now, voice=voice, options=options, idempotency_key="key"), now)
        task = replace(
            job.task,
            elapsed=12.3456789,
            progress=1 / 3,
            word="rendering",
            error=_FULL_ERROR,
            ticket={"job": "j-1"},
            envelope={"url": "https://vendor.example/1", "parts": [1, 2.5, None]},
            receipt={"request_id": "r-1", "usage": {"characters": 195, "seconds": None}},
            doubted_at=now - timedelta(microseconds=3),
        )
        await store.create(task, job.generation)
        assert await store.get(ANNA, task.id) == Job(task, job.generation)

    async def test_what_a_provider_said_is_written_by_replace(self, store: TaskStore) -> None:
        """A receipt and the time of a doubt come back as they were written, and can be changed."""
        job = await stored(store, new_job(store.now()), running)
        first: dict[str, JsonValue] = {"request_id": "r-1"}
        second: dict[str, JsonValue] = {"request_id": "r-2", "earlier": [first]}
        changes = [(first, store.now()), (second, None), (None, store.now())]
        version = job.task.version
        for receipt, doubted_at in changes:
            task = replace(job.task, version=version + 1, receipt=receipt, doubted_at=doubted_at)
            assert await store.replace(task, job.generation, expected_version=version)
            assert await store.get(ANNA, task.id) == Job(task, job.generation)
            version += 1

    @pytest.mark.parametrize("move", [started, unanswered, running, ready, completed, owing])
    async def test_every_phase_comes_back(self, store: TaskStore, move: Move) -> None:
        """A job in whatever phase comes back as it was written, generation in step."""
        job = await stored(store, new_job(store.now()), move)
        assert await store.get(ANNA, job.task.id) == job

    async def test_what_is_stored_is_a_copy(self, store: TaskStore) -> None:
        """A caller that changes its own mapping later does not change the row."""
        options = {"rate": 1}
        job = await stored(store, new_job(store.now(), options=options))
        options["rate"] = 2
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert found.task.options == {"rate": 1}

    # --- get and record_poll --------------------------------------------------------------------------

    async def test_get_finds_only_the_owners_tasks(self, store: TaskStore) -> None:
        """Another owner's task looks exactly like a missing one."""
        job = await stored(store, new_job(store.now()))
        assert await store.get(BEN, job.task.id) is None
        assert await store.get(ANNA, "missing") is None

    async def test_record_poll_counts(self, store: TaskStore) -> None:
        """Each poll of an active task returns it with a count one higher, at the same version."""
        job = await stored(store, new_job(store.now()), running)
        for count in (1, 2):
            expected = Job(replace(job.task, poll_count=count), job.generation)
            assert await store.record_poll(ANNA, job.task.id) == expected
            assert await store.get(ANNA, job.task.id) == expected

    async def test_concurrent_polls_are_all_counted(self, store: TaskStore) -> None:
        """Of polls at once, each sees a count of its own, without a gap."""
        job = await stored(store, new_job(store.now()), running)
        answers = await race(lambda _: store.record_poll(ANNA, job.task.id), _CONCURRENT)
        counts = sorted(answer.task.poll_count for answer in answers if answer)
        assert counts == list(range(1, _CONCURRENT + 1))

    @pytest.mark.parametrize("move", [completed, cancelled])
    async def test_polls_of_ended_tasks_are_not_counted(self, store: TaskStore, move: Move) -> None:
        """A poll of a terminal task returns it and writes nothing."""
        job = await stored(store, new_job(store.now()), move)
        assert await store.record_poll(ANNA, job.task.id) == job
        assert await store.get(ANNA, job.task.id) == job

    async def test_record_poll_is_the_owners_alone(self, store: TaskStore) -> None:
        """A poll for a foreign or missing task finds nothing and counts nothing."""
        job = await stored(store, new_job(store.now()), running)
        assert await store.record_poll(BEN, job.task.id) is None
        assert await store.record_poll(ANNA, "missing") is None
        assert await store.get(ANNA, job.task.id) == job

    # --- delete ---------------------------------------------------------------------------------------

    async def test_delete_task_hides_it(self, store: TaskStore) -> None:
        """A deleted task is gone for its owner, a second delete finds none; its generation stays."""
        job = await stored(store, new_job(store.now()), completed)
        generation = generation_of(job)
        assert await store.delete_task(ANNA, job.task.id)
        assert await store.get(ANNA, job.task.id) is None
        assert await store.record_poll(ANNA, job.task.id) is None
        assert await store.list_tasks(ANNA) == []
        assert not await store.delete_task(ANNA, job.task.id)
        assert await store.get_generation(ANNA, generation.id) == generation

    async def test_a_deleted_task_can_be_read_on_demand(self, store: TaskStore) -> None:
        """With include_deleted its owner's task is found, marked as deleted; another owner's is not."""
        job = await stored(store, new_job(store.now()), completed)
        before = store.now()
        await store.delete_task(ANNA, job.task.id)
        hidden = await store.get(ANNA, job.task.id, include_deleted=True)
        assert hidden is not None
        assert hidden.task.deleted_at is not None
        assert before <= hidden.task.deleted_at <= store.now()
        assert hidden == Job(replace(job.task, deleted_at=hidden.task.deleted_at), job.generation)
        assert await store.get(BEN, job.task.id, include_deleted=True) is None
        assert await store.get(ANNA, "missing", include_deleted=True) is None

    async def test_delete_task_is_the_owners_alone(self, store: TaskStore) -> None:
        """Another owner's task can't be deleted."""
        job = await stored(store, new_job(store.now()))
        assert not await store.delete_task(BEN, job.task.id)
        assert not await store.delete_task(ANNA, "missing")
        assert await store.get(ANNA, job.task.id) == job

    async def test_delete_generation_removes_it(self, store: TaskStore) -> None:
        """A deleted generation is gone, a second delete finds none; its task stays, without one."""
        job = await stored(store, new_job(store.now()), completed)
        generation = generation_of(job)
        assert await store.delete_generation(ANNA, generation.id)
        assert await store.get_generation(ANNA, generation.id) is None
        assert not await store.delete_generation(ANNA, generation.id)
        assert await store.get(ANNA, job.task.id) == Job(job.task, None)

    async def test_generations_are_the_owners_alone(self, store: TaskStore) -> None:
        """Another owner's generation can be neither read nor deleted."""
        job = await stored(store, new_job(store.now()))
        generation = generation_of(job)
        assert await store.get_generation(BEN, generation.id) is None
        assert not await store.delete_generation(BEN, generation.id)
        assert await store.get_generation(ANNA, generation.id) == generation
