"""The part of the task store's suite about rows: create, get, polls, compare-and-set, delete."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from ttsorch.errors import (
    ActiveJobLimit,
    Category,
    ProviderBusy,
    StorageUnavailable,
    SubmitRateLimit,
)
from ttsorch.models import ErrorInfo, Job, JsonValue, Limits, Voice, VoiceSource
from ttsorch.protocols import TaskStore
from ttsorch.testing.naughty_strings import NAUGHTY_BY_KIND
from ttsorch.testing.task_store_jobs import (
    ANNA,
    BEN,
    Move,
    cancelled,
    completed,
    generation_of,
    leased,
    new_clone,
    new_job,
    new_preview,
    owing,
    race,
    ready,
    running,
    started,
    stored,
    unanswered,
)

_CONCURRENT = 20


class RowCases:
    # --- create ---------------------------------------------------------------------------------------

    async def test_create_stores_both_rows(self, store: TaskStore) -> None:
        """What create was given is what create and every read return."""
        job = new_job(store.now())
        assert await store.create(job.task, job.generation) == job
        assert await store.get(ANNA, job.task.id) == job
        generation = generation_of(job)
        assert await store.get_generation(ANNA, generation.id) == generation

    async def test_create_without_a_generation(self, store: TaskStore) -> None:
        """A task may have no generation."""
        job = new_preview(store.now())
        assert await store.create(job.task, None) == job
        assert await store.get(ANNA, job.task.id) == job

    async def test_create_stores_both_rows_or_none(self, store: TaskStore) -> None:
        """When the generation can't be inserted, the task isn't either."""
        first = await stored(store, new_job(store.now()))
        second = new_job(store.now(), generation_id=generation_of(first).id, text="Other.")
        with pytest.raises(StorageUnavailable):
            await store.create(second.task, second.generation)
        assert await store.get(ANNA, second.task.id) is None
        assert await store.get(ANNA, first.task.id) == first

    async def test_create_again_returns_the_stored_job(self, store: TaskStore) -> None:
        """A create whose answer was lost can be repeated: the job is returned as it is now."""
        job = new_job(store.now(), idempotency_key="key")
        later = await stored(store, job, running)
        assert await store.create(job.task, job.generation, lease_seconds=60) == later
        assert await store.get(ANNA, job.task.id) == later

    async def test_create_does_not_hand_out_another_owners_job(self, store: TaskStore) -> None:
        """An id that another owner's task has neither shows nor changes that task."""
        job = await stored(store, new_job(store.now()))
        intruder = new_job(store.now(), owner=BEN, id=job.task.id)
        with pytest.raises(StorageUnavailable):
            await store.create(intruder.task, intruder.generation)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(BEN, job.task.id) is None

    async def test_repeated_idempotency_key_returns_the_earlier_job(self, store: TaskStore) -> None:
        """The earlier job is returned as it is now, and nothing of the second one is written."""
        later = await stored(store, new_job(store.now(), idempotency_key="key"), completed)
        repeat = new_job(store.now(), idempotency_key="key")
        assert await store.create(repeat.task, repeat.generation, lease_seconds=60) == later
        assert await store.get(ANNA, repeat.task.id) is None
        assert await store.get_generation(ANNA, generation_of(repeat).id) is None

    async def test_idempotency_key_of_a_deleted_task_stays_taken(self, store: TaskStore) -> None:
        """Deleting a task does not free its key."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await store.delete_task(ANNA, job.task.id)
        repeat = new_job(store.now(), idempotency_key="key")
        earlier = await store.create(repeat.task, repeat.generation)
        assert earlier.task.id == job.task.id
        assert earlier.task.deleted_at is not None

    async def test_a_job_is_found_by_its_idempotency_key(self, store: TaskStore) -> None:
        """As it is now, also when it was deleted; there is none for another owner or another key."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        await stored(store, new_job(store.now()))
        assert await store.find_by_key(ANNA, "key") == job
        assert await store.find_by_key(BEN, "key") is None
        assert await store.find_by_key(ANNA, "other") is None
        await store.delete_task(ANNA, job.task.id)
        found = await store.find_by_key(ANNA, "key")
        assert found is not None
        assert (found.task.id, found.generation) == (job.task.id, job.generation)

    async def test_idempotency_keys_belong_to_their_owner(self, store: TaskStore) -> None:
        """Two owners may use the same key."""
        hers = await stored(store, new_job(store.now(), idempotency_key="key"))
        his = new_job(store.now(), owner=BEN, idempotency_key="key")
        assert await store.create(his.task, his.generation) == his
        assert await store.get(ANNA, hers.task.id) == hers

    async def test_racing_creates_with_one_key_make_one_job(self, store: TaskStore) -> None:
        """However many creates with the same key run at once, all return the same job."""
        jobs = [new_job(store.now(), idempotency_key="key") for _ in range(_CONCURRENT)]
        answers = await race(lambda n: store.create(jobs[n].task, jobs[n].generation), _CONCURRENT)
        assert len({answer.task.id for answer in answers}) == 1
        assert len(await store.list_tasks(ANNA, limit=100)) == 1

    async def test_create_under_a_lease(self, store: TaskStore) -> None:
        """With lease_seconds the row is born leased, with the first fencing token."""
        job = new_job(store.now())
        before = store.now()
        answer = await store.create(job.task, job.generation, lease_seconds=60)
        after = store.now()
        task = answer.task
        assert task.fence == 1
        assert task.lease_until is not None
        assert before <= task.lease_until - timedelta(seconds=60) <= after
        assert task.next_action_at == task.lease_until
        assert await store.get(ANNA, job.task.id) == answer

    async def test_active_job_limit(self, store: TaskStore) -> None:
        """At active_per_owner a create is refused and writes nothing; ended and foreign tasks don't count."""
        await stored(store, new_job(store.now()), running)
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now(), owner=BEN))
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=Limits(active_per_owner=2))
        with pytest.raises(ActiveJobLimit):
            await store.create(third.task, third.generation, limits=Limits(active_per_owner=2))
        assert await store.get(ANNA, third.task.id) is None
        assert await store.get_generation(ANNA, generation_of(third).id) is None

    async def test_clones_are_outside_the_active_job_limit(self, store: TaskStore) -> None:
        """A clone neither counts nor is refused for the jobs there are; a preview does and is."""
        clone = await stored(store, new_clone(store.now()), started)
        job = new_job(store.now())
        assert (
            await store.create(job.task, job.generation, limits=Limits(active_per_owner=1)) == job
        )
        assert await store.get(ANNA, clone.task.id) == clone
        preview = new_preview(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(preview.task, None, limits=Limits(active_per_owner=1))
        await store.create(preview.task, None, limits=Limits(active_per_owner=2))
        third = new_job(store.now())
        with pytest.raises(ActiveJobLimit):
            await store.create(third.task, third.generation, limits=Limits(active_per_owner=2))

    async def test_active_job_limit_lets_a_repeated_key_through(self, store: TaskStore) -> None:
        """A repeat of an earlier create is answered also when the owner is at the limit."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"))
        repeat = new_job(store.now(), idempotency_key="key")
        assert (
            await store.create(repeat.task, repeat.generation, limits=Limits(active_per_owner=1))
            == job
        )

    async def test_racing_creates_stay_within_the_limit(self, store: TaskStore) -> None:
        """Of 64 creates at once with a limit of 5, exactly 5 succeed."""

        async def create(_: int) -> bool:
            job = new_job(store.now())
            try:
                await store.create(job.task, job.generation, limits=Limits(active_per_owner=5))
            except ActiveJobLimit:
                return False
            return True

        assert sum(await race(create, 64)) == 5
        assert len(await store.list_tasks(ANNA, limit=100)) == 5

    async def test_submit_rate_limit(self, store: TaskStore) -> None:
        """So many within a minute, ended and deleted ones included; another owner's and older ones don't
        count. The refusal says when the next one will be taken."""
        now, limits = store.now(), Limits(submits_per_minute=2)
        await stored(store, new_job(now - timedelta(seconds=61)))
        await stored(store, new_job(now, owner=BEN))
        first = await stored(store, new_job(now - timedelta(seconds=20)), completed)
        await store.delete_task(ANNA, first.task.id)
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=limits)
        with pytest.raises(SubmitRateLimit) as refused:
            await store.create(third.task, third.generation, limits=limits)
        assert refused.value.retry_after is not None
        assert 30 < refused.value.retry_after <= 40
        assert await store.get(ANNA, third.task.id) is None

    async def test_in_flight_limit(self, store: TaskStore) -> None:
        """What all owners have under way at one provider; another provider's and ended tasks don't
        count."""
        limits = Limits(in_flight_per_provider=2)
        other = new_job(store.now())
        other = Job(replace(other.task, provider="other"), other.generation)
        await store.create(other.task, other.generation)
        await stored(store, new_job(store.now()), completed)
        await stored(store, new_job(store.now(), owner=BEN), running)
        second, third = new_job(store.now()), new_job(store.now())
        await store.create(second.task, second.generation, limits=limits)
        with pytest.raises(ProviderBusy):
            await store.create(third.task, third.generation, limits=limits)
        assert await store.get(ANNA, third.task.id) is None
        ended = completed(second, store.now())
        assert await store.replace(ended.task, ended.generation, expected_version=1)
        await store.create(third.task, third.generation, limits=limits)

    async def test_clones_are_outside_every_limit(self, store: TaskStore) -> None:
        """Neither counted nor refused."""
        limits = Limits(active_per_owner=1, submits_per_minute=1, in_flight_per_provider=1)
        for _ in range(2):
            await store.create(new_clone(store.now()).task, None, limits=limits)
        job = new_job(store.now())
        await store.create(job.task, job.generation, limits=limits)

    async def test_racing_creates_stay_within_all_limits(self, store: TaskStore) -> None:
        """Whichever is the lowest, however many owners come at once."""
        limits = Limits(active_per_owner=5, submits_per_minute=4, in_flight_per_provider=6)

        async def create(number: int) -> bool:
            job = new_job(store.now(), owner=ANNA if number % 2 else BEN)
            try:
                await store.create(job.task, job.generation, limits=limits)
            except (ActiveJobLimit, SubmitRateLimit, ProviderBusy):
                return False
            return True

        assert sum(await race(create, 32)) == 6
        for owner in (ANNA, BEN):
            assert len(await store.list_tasks(owner, limit=100)) <= 4

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
        voice = Voice(
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
        options: dict[str, JsonValue] = {
            "rate": 1.1,
            "deep": {"list": [1, None, True, 10**17, 0.1, "ß"]},
            "empty": {},
        }
        job = completed(new_job(now, voice=voice, options=options, idempotency_key="key"), now)
        error = ErrorInfo(
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
        task = replace(
            job.task,
            elapsed=12.3456789,
            progress=1 / 3,
            word="rendering",
            error=error,
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

    # --- replace --------------------------------------------------------------------------------------

    async def test_replace_writes_both_rows(self, store: TaskStore) -> None:
        """After a replace the task and its generation are both the new ones."""
        job = await stored(store, new_job(store.now()))
        later = completed(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=1)
        assert await store.get(ANNA, job.task.id) == later
        generation = generation_of(later)
        assert await store.get_generation(ANNA, generation.id) == generation

    async def test_replace_of_another_version_writes_nothing(self, store: TaskStore) -> None:
        """When the stored version isn't the expected one, neither row changes."""
        queued = new_job(store.now())
        job = await stored(store, queued, running)
        late = completed(queued, store.now())
        for stale in (1, job.task.version + 1):
            assert not await store.replace(late.task, late.generation, expected_version=stale)
        assert await store.get(ANNA, job.task.id) == job

    async def test_replace_is_the_owners_alone(self, store: TaskStore) -> None:
        """Another owner's task can't be replaced, nor a missing one be made."""
        job = await stored(store, new_job(store.now()))
        later = cancelled(job, store.now())
        foreign = replace(later.task, owner=BEN)
        missing = replace(later.task, id="missing")
        assert not await store.replace(foreign, None, expected_version=1)
        assert not await store.replace(missing, None, expected_version=1)
        assert await store.get(ANNA, job.task.id) == job
        assert await store.get(ANNA, "missing") is None

    async def test_one_of_many_concurrent_replaces_wins(self, store: TaskStore) -> None:
        """Of writers that all expect the same version exactly one succeeds, and its rows are stored."""
        job = await stored(store, new_job(store.now()))
        begun = started(job, store.now())
        writes = [replace(begun.task, word=f"writer {n}") for n in range(_CONCURRENT)]
        won = await race(
            lambda n: store.replace(writes[n], begun.generation, expected_version=1), _CONCURRENT
        )
        assert won.count(True) == 1
        expected = Job(writes[won.index(True)], begun.generation)
        assert await store.get(ANNA, job.task.id) == expected

    async def test_replace_keeps_what_is_the_stores_own(self, store: TaskStore) -> None:
        """poll_count, fence and deleted_at stay as stored, whatever the given task says."""
        job = await leased(store)
        await store.record_poll(ANNA, job.task.id)
        later = cancelled(job, store.now()).task
        written = replace(later, fence=9, poll_count=9, deleted_at=store.now())
        assert await store.replace(written, None, expected_version=2)
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert (found.task.fence, found.task.poll_count, found.task.deleted_at) == (1, 1, None)

    async def test_replace_writes_the_lease_and_the_next_action(self, store: TaskStore) -> None:
        """A transition that releases the lease and owes nothing more leaves both empty in the row."""
        job = await leased(store)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=2)
        found = await store.get(ANNA, job.task.id)
        assert found is not None
        assert (found.task.lease_until, found.task.next_action_at) == (None, None)

    async def test_replace_leaves_a_deleted_generation_deleted(self, store: TaskStore) -> None:
        """A generation that its user deleted is not written back; its task still moves on."""
        job = await stored(store, new_job(store.now()), running)
        generation = generation_of(job)
        assert await store.delete_generation(ANNA, generation.id)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=job.task.version)
        assert await store.get_generation(ANNA, generation.id) is None
        assert await store.get(ANNA, job.task.id) == Job(later.task, None)

    async def test_replace_of_a_deleted_task(self, store: TaskStore) -> None:
        """A deleted task still moves on, and stays deleted."""
        job = await stored(store, new_job(store.now(), idempotency_key="key"), running)
        await store.delete_task(ANNA, job.task.id)
        later = cancelled(job, store.now())
        assert await store.replace(later.task, later.generation, expected_version=job.task.version)
        assert await store.get(ANNA, job.task.id) is None
        hidden = await store.get(ANNA, job.task.id, include_deleted=True)
        assert hidden is not None
        assert hidden.task.phase == later.task.phase
        assert hidden.task.deleted_at is not None

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
