"""Cases that a hostile reader found: hanging parts, greedy vendors, races between our own steps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.orchestrator.world import (
    OWNER,
    POLICY,
    STRANGER,
    World,
    completed,
    paused_at,
    polled_to_the_end,
)
from ttsorch import _announcer, states
from ttsorch._announcer import Announcer
from ttsorch.errors import (
    LONGEST_WAIT,
    Category,
    InternalError,
    NotFound,
    ProviderUnavailable,
    StorageUnavailable,
)
from ttsorch.models import (
    Accepted,
    Attempt,
    BlobInfo,
    CheckResult,
    Effect,
    ErrorInfo,
    Failed,
    Generation,
    Job,
    JsonValue,
    OnUnknown,
    Phase,
    Ready,
    Running,
    SpeechRequest,
    Status,
    Task,
    Ticket,
    Transition,
)
from ttsorch.store.sqlite import SqliteTaskStore
from ttsorch.testing.clock import ManualClock
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply
from ttsorch.testing.speech import a_request

pytestmark = pytest.mark.anyio


async def _never(*args: object, **kwargs: object) -> None:
    await anyio.sleep_forever()


async def _broken(*args: object, **kwargs: object) -> None:
    raise RuntimeError("a defect")


# --- leases -------------------------------------------------------------------------------------------


#: Really waited for, so it is short; but no loaded machine stands still for two thirds of it.
LEASE = 0.6


@pytest.mark.parametrize("fetchable", [True, False])
async def test_a_second_attempt_is_not_cut_off_by_the_keeper_of_the_first(fetchable: bool) -> None:
    """After a lost reply the resubmit, and the download after it, may take longer than a lease."""
    provider = FakeDirectProvider(fetchable=fetchable)
    provider.script.submit_reply_lost.append(lost_reply())
    calls: list[str] = []

    def slow(call: str) -> anyio.Event | None:
        calls.append(call)
        return _Later() if len(calls) > 1 else None

    provider.script.pause = slow
    world = World(provider, policy=replace(POLICY, lease=LEASE))
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert completed(job)
    assert (provider.ledger.submits, job.task.resubmits) == (2, 1)


class _Later(anyio.Event):
    """Set by the time that has gone by: three renewals of the lease above."""

    def __new__(cls) -> "_Later":
        return object.__new__(cls)

    async def wait(self) -> None:
        await anyio.sleep(LEASE * 1.2)


@pytest.mark.parametrize("renew", [_never, _broken], ids=["hangs", "breaks"])
async def test_a_holder_stops_whatever_becomes_of_its_renewals(
    renew: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that hangs or raises something unheard of is no renewal."""
    provider = FakeDirectProvider()
    paused_at(provider, "submit")
    world = World(provider, policy=replace(POLICY, lease=0.06))
    monkeypatch.setattr(world.tasks, "renew", renew)
    async with world.running() as tts:
        job = await world.submitted(tts)
        with anyio.fail_after(20):
            await tts.poll_once(job.task.id, owner=OWNER)
    assert provider.ledger.in_flight == 0


async def test_a_claim_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the time of a commit; nothing else waits for it."""
    world = World(FakeDirectProvider(), policy=replace(POLICY, commit=0.02))
    monkeypatch.setattr(world.tasks, "claim", _never)
    with anyio.fail_after(20):
        async with world.running() as tts:
            job = await world.submitted(tts)
            with pytest.raises(StorageUnavailable):
                await tts.poll_once(job.task.id, owner=OWNER)


async def test_nobody_holds_a_task_beyond_its_own_time() -> None:
    """A source that never opens is left at the task's deadline, and the task ends."""
    provider = FakeDirectProvider()
    paused_at(provider, "fetch")
    world = World(provider, policy=replace(POLICY, lease=0.06))
    async with world.running() as tts:
        job = await world.submitted(tts)
        world.clock.advance((job.task.finish_by - world.clock()).total_seconds() - 0.05)
        with anyio.fail_after(2):
            await tts.poll_once(job.task.id, owner=OWNER)
        world.clock.advance(POLICY.unknown_grace + 1)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.status is Status.FAILED


async def test_a_submit_that_outlives_the_task_is_an_unknown_outcome() -> None:
    """Our own deadline says nothing about what the vendor has taken."""
    provider = FakeJobProvider()
    paused_at(provider, "submit")
    world = World(
        provider,
        policy=replace(POLICY, accept_within=0.05, finish_within=0, finish_per_character=0),
    )
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert (job.task.phase, job.task.outcome_open) == (Phase.SUBMIT_UNKNOWN, True)
    assert provider.ledger.submits == 1


async def test_speech_in_hand_of_one_who_was_replaced_is_not_stored() -> None:
    """The row is being stored by another holder: the fence tells them apart."""
    provider = FakeDirectProvider()
    begun, go_on = paused_at(provider, "fetch")
    world = World(provider)
    async with world.running() as slow:
        job = await world.submitted(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(slow.poll_once, job.task.id, owner=OWNER))
            await begun.wait()
            row = await world.stored(job)
            world.clock.advance(POLICY.lease + 1)
            other = states.advance(row.task, states.StoreStarted(), world.clock())
            claimed = await world.tasks.claim(
                other,
                states.reflect(row.generation, other) if row.generation else None,
                expected_version=row.task.version,
                lease_seconds=60,
            )
            assert claimed is not None
            go_on.set()
    after = await world.stored(job)
    assert after.task.phase is Phase.STORING
    assert after.task.fence == row.task.fence + 1
    assert await world.blob_keys() == []


# --- between the insert and the call ------------------------------------------------------------------


async def test_a_tick_between_insert_and_call_does_not_swallow_the_call() -> None:
    """Whoever steps a task the moment it exists joins its submit instead of replacing it."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running() as tts, anyio.create_task_group() as group:

        async def tick() -> None:
            for _ in range(200):
                for job in await world.tasks.list_tasks(OWNER, limit=50):
                    await tts.step(job.task.id, owner=OWNER)
                await anyio.lowlevel.checkpoint()

        group.start_soon(tick)
        jobs = [await world.submitted(tts) for _ in range(20)]
    assert provider.ledger.submits == 20
    assert all(job.task.ticket for job in jobs)


async def test_a_caller_that_goes_away_during_the_insert_still_gets_its_job_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same key then gives a job that lives."""
    provider = FakeJobProvider()
    world = World(provider)
    original = world.tasks.create
    creating, go_on = anyio.Event(), anyio.Event()

    async def create(*args: object, **kwargs: object) -> object:
        creating.set()
        await go_on.wait()
        return await original(*args, **kwargs)  # type: ignore[arg-type]  # passed through as it came

    monkeypatch.setattr(world.tasks, "create", create)
    async with world.running() as tts:
        submit = partial(tts.submit, a_request(), owner=OWNER, idempotency_key="k")
        async with anyio.create_task_group() as group:
            group.start_soon(submit)
            await creating.wait()
            group.cancel_scope.cancel()
        go_on.set()
        await anyio.wait_all_tasks_blocked()
        job = await submit()
    assert job.task.ticket == {"id": "job-1"}


async def test_a_step_that_is_stopped_before_its_call_puts_the_task_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was sent, so nothing is unknown."""
    provider = FakeDirectProvider()
    world = World(provider)
    original = world.tasks.claim
    async with world.running() as tts:

        async def claim(
            task: Task,
            generation: Generation | None,
            *,
            expected_version: int,
            lease_seconds: float,
            sends: bool = False,
        ) -> Task | None:
            claimed = await original(
                task,
                generation,
                expected_version=expected_version,
                lease_seconds=lease_seconds,
                sends=sends,
            )
            tts._driver.stop(task)
            return claimed

        monkeypatch.setattr(world.tasks, "claim", claim)
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert (job.task.phase, job.task.outcome_open) == (Phase.QUEUED, False)
    assert provider.ledger.submits == 0


async def test_an_orchestrator_that_is_not_running_writes_nothing() -> None:
    """The error comes before the row."""
    world = World(FakeJobProvider())
    async with world.running() as tts:
        pass
    with pytest.raises(InternalError, match="not running"):
        await world.submitted(tts)
    assert await world.tasks.list_tasks(OWNER) == []


@pytest.mark.parametrize("stranger_s", [True, False])
async def test_another_owners_voice_is_no_voice(stranger_s: bool) -> None:
    """Also when a host hands it in by mistake."""
    world = World(FakeJobProvider())
    request = a_request()
    voice = replace(request.voice, owner=STRANGER if stranger_s else OWNER)
    async with world.running() as tts:
        submit = partial(tts.submit, replace(request, voice=voice), owner=OWNER)
        if stranger_s:
            with pytest.raises(NotFound, match="Voice not found"):
                await submit()
        else:
            await submit()


async def test_options_may_be_any_mapping() -> None:
    """Nested ones included; they are hashed and stored as JSON."""
    world = World(FakeJobProvider())
    request = replace(a_request(), options=_Mapping({"rate": 1, "more": _Mapping({"a": "b"})}))
    async with world.running() as tts:
        job = await tts.submit(request, owner=OWNER, idempotency_key="k")
        assert (await tts.submit(request, owner=OWNER, idempotency_key="k")).task.id == job.task.id


class _Mapping(dict[str, JsonValue]):
    """Not exactly a dict."""


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
async def test_what_a_vendor_says_is_kept_as_far_as_a_database_can(
    tmp_path: Path, odd: str
) -> None:
    """A word or a sentence with what can't be stored costs nobody the answer it came with."""
    clock = ManualClock()
    store = await SqliteTaskStore.open(tmp_path / "t.db", clock=clock)
    provider = FakeJobProvider()
    world = World(provider, clock=clock, store=store)
    failure = ErrorInfo(Category.PROVIDER_REJECTED, "too_loud", odd)
    answers: list[CheckResult] = [Running(odd), Failed(failure)]

    async def check(ticket: Ticket) -> CheckResult:
        return answers.pop(0)

    provider.check = check  # type: ignore[method-assign]
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.step(job.task.id, owner=OWNER)
        assert (await world.stored(job)).task.word == "a\N{REPLACEMENT CHARACTER}b"
        ended = await world.stored(await tts.step(job.task.id, owner=OWNER))
    assert ended.task.error == replace(failure, message="a\N{REPLACEMENT CHARACTER}b")
    assert ended.generation is not None
    assert ended.generation.error_message == "a\N{REPLACEMENT CHARACTER}b"
    await store.aclose()


# --- listeners ----------------------------------------------------------------------------------------


async def test_a_listener_that_hangs_holds_nothing_up() -> None:
    """The task completes, and leaving waits no longer than the grace time."""
    world = World(FakeJobProvider(checks_until_ready=0))

    async def hang(transition: Transition) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        async with world.running(listeners=(hang,)) as tts:
            assert completed(await polled_to_the_end(tts, await world.submitted(tts)))


async def test_an_announcer_that_was_never_opened_can_be_closed() -> None:
    """And what it is told meanwhile goes nowhere."""
    announcer = Announcer([_never])
    world = World(FakeJobProvider())
    async with world.running() as tts:
        announcer.announce(None, await world.submitted(tts))
    announcer.close()


async def test_a_listener_that_never_comes_back_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What doesn't fit into the queue is never told, and the log says so, once."""
    monkeypatch.setattr(_announcer, "_MOST_WAITING", 2)
    begun, go_on, heard = anyio.Event(), anyio.Event(), list[Transition]()

    async def slow(transition: Transition) -> None:
        heard.append(transition)
        begun.set()
        await go_on.wait()

    world = World(FakeDirectProvider())
    async with world.running(listeners=(slow,)) as tts:
        await world.submitted(tts)
        await begun.wait()
        for _ in range(6):
            await world.submitted(tts)
        assert caplog.text.count("transitions are not told") == 1
        go_on.set()
        with anyio.fail_after(10):
            while len(heard) < 3:
                await anyio.lowlevel.checkpoint()
        await world.submitted(tts)
    assert len(heard) == 4
    assert caplog.text.count("transitions are not told") == 1


async def test_a_listener_may_use_the_orchestrator() -> None:
    """Even for the task it hears of."""
    world = World(FakeJobProvider(checks_until_ready=0))
    with anyio.fail_after(5):
        async with world.running() as other:

            async def poll(transition: Transition) -> None:
                await other.step(transition.job.task.id, owner=OWNER)

            async with world.running(listeners=(poll,)) as tts:
                job = await world.submitted(tts)
    assert completed(await world.stored(job))


# --- what was uploaded is never forgotten -------------------------------------------------------------


async def test_an_upload_whose_answer_was_lost_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store kept the speech although it said that it had failed: nothing is paid again."""
    provider = FakeDirectProvider()
    world = World(provider)
    original = world.blobs.put
    failures = [StorageUnavailable()]

    async def put(key: str, chunks: AsyncIterator[bytes], content_type: str) -> BlobInfo:
        info = await original(key, chunks, content_type)
        if failures:
            raise failures.pop()
        return info

    monkeypatch.setattr(world.blobs, "put", put)
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        world.clock.advance(60)
        job = await tts.poll_once(job.task.id, owner=OWNER)
    assert completed(job)
    assert provider.ledger.submits == 1


@pytest.mark.parametrize("call", ["list", "put", "open"])
async def test_trouble_while_recovering_an_upload_does_not_lose_it(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try still finds it, whatever fence it was made under."""
    provider = FakeDirectProvider()
    world = World(provider)
    async with world.running() as tts:
        with monkeypatch.context() as patch:
            patch.setattr(world.tasks, "replace", _stored_is_lost(world))
            job = await world.submitted(tts)
            with pytest.raises(StorageUnavailable):
                await tts.poll_once(job.task.id, owner=OWNER)
        assert len(await world.blob_keys()) == 1
        world.clock.advance(POLICY.lease + 1)
        with monkeypatch.context() as patch:
            patch.setattr(world.blobs, call, _refuse)
            job = await tts.step(job.task.id, owner=OWNER)
            assert job.task.phase is Phase.READY
        world.clock.advance(60)
        job = await tts.step(job.task.id, owner=OWNER)
    assert completed(job)
    assert provider.ledger.submits == 1


def _stored_is_lost(world: World) -> Callable[..., object]:
    original = world.tasks.replace

    async def replace_(
        task: object, generation: object, *, expected_version: int, effect: Effect | None = None
    ) -> bool:
        if getattr(task, "phase", None) is Phase.COMPLETED:
            raise StorageUnavailable
        return await original(task, generation, expected_version=expected_version, effect=effect)  # type: ignore[arg-type]  # passed through

    return replace_


def _refuse(*args: object, **kwargs: object) -> object:
    raise StorageUnavailable


class BothProvider(FakeDirectProvider):
    """Answers with the bytes and with the way to fetch them again."""

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        ready = await super().submit(request, attempt)
        return replace(ready, envelope={"key": attempt.key})


async def test_bytes_that_come_with_an_envelope_can_be_fetched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The envelope is on the row before the upload begins."""
    provider = BothProvider()
    world = World(provider)
    async with world.running() as tts:
        with monkeypatch.context() as patch:
            patch.setattr(world.blobs, "put", _refuse)
            job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        assert job.task.envelope == {"key": job.task.id}
        world.clock.advance(60)
        assert completed(await tts.poll_once(job.task.id, owner=OWNER))
    assert (provider.ledger.submits, provider.ledger.fetches) == (1, 2)


async def test_a_shutdown_while_storing_gives_the_lease_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next process goes on at once."""
    world = World(FakeJobProvider(checks_until_ready=0))
    storing = anyio.Event()

    async def put(*args: object, **kwargs: object) -> None:
        storing.set()
        await anyio.sleep_forever()

    with monkeypatch.context() as patch:
        patch.setattr(world.blobs, "put", put)
        async with world.running() as tts, anyio.create_task_group() as group:
            job = await world.submitted(tts)
            group.start_soon(partial(tts.poll_once, job.task.id, owner=OWNER))
            await storing.wait()
            group.cancel_scope.cancel()
    left = await world.stored(job)
    assert (left.task.phase, left.task.lease_until) == (Phase.READY, None)


# --- tickets ------------------------------------------------------------------------------------------


class TupleProvider(FakeJobProvider):
    """Its tickets hold what JSON doesn't know."""

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Accepted:
        accepted = await super().submit(request, attempt)
        return Accepted({**accepted.ticket, "urls": ("a", "b")})


async def test_a_ticket_is_recognised_when_it_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit whose answer was lost must not make us cancel our own job."""
    provider = TupleProvider()
    world = World(provider)
    original = world.tasks.replace
    failures = [StorageUnavailable()]

    async def replace_(
        task: object, generation: object, *, expected_version: int, effect: Effect | None = None
    ) -> bool:
        done = await original(task, generation, expected_version=expected_version, effect=effect)  # type: ignore[arg-type]  # passed through
        if failures:
            raise failures.pop()
        return done

    monkeypatch.setattr(world.tasks, "replace", replace_)
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert job.task.ticket == {"id": "job-1", "urls": ["a", "b"]}
    assert provider.ledger.cancels == []


async def test_a_second_accepted_job_is_called_off_although_the_first_try_fails() -> None:
    """It has no place on the row, so the vendor is told until it listens."""
    provider = FakeJobProvider()
    provider.script.cancel.append(ProviderUnavailable())
    first_in, go_on = anyio.Event(), anyio.Event()
    waits = [go_on]

    def pause(call: str) -> anyio.Event | None:
        if call == "submit" and waits:
            first_in.set()
            return waits.pop()
        return None

    provider.script.pause = pause
    world = World(provider, policy=replace(POLICY, submit_backoff=0.001))
    async with (
        world.running(on_unknown=OnUnknown.RESUBMIT) as slow,
        world.running(on_unknown=OnUnknown.RESUBMIT) as quick,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lambda: world.submitted(slow))
        await first_in.wait()
        (job,) = await quick.list_tasks(owner=OWNER)
        world.clock.advance(POLICY.lease + 1)
        await quick.poll_once(job.task.id, owner=OWNER)
        go_on.set()
    assert provider.ledger.cancels == ["job-2", "job-2"]


async def test_a_second_accepted_job_is_called_off_by_a_process_that_is_being_stopped() -> None:
    """Whoever has a second job has lost its lease, or soon has the process stopped: neither ends the try."""
    provider = FakeJobProvider()
    provider.script.cancel.append(ProviderUnavailable())
    first_in, go_on, told = anyio.Event(), anyio.Event(), anyio.Event()
    waits = [go_on]

    def pause(call: str) -> anyio.Event | None:
        if call == "cancel":
            told.set()
        if call == "submit" and waits:
            first_in.set()
            return waits.pop()
        return None

    provider.script.pause = pause
    world = World(provider, policy=replace(POLICY, submit_backoff=0.3))
    async with (
        world.running(on_unknown=OnUnknown.RESUBMIT) as slow,
        world.running(on_unknown=OnUnknown.RESUBMIT) as quick,
        anyio.create_task_group() as group,
    ):
        group.start_soon(world.submitted, slow)
        await first_in.wait()
        (job,) = await quick.list_tasks(owner=OWNER)
        world.clock.advance(POLICY.lease + 1)
        await quick.poll_once(job.task.id, owner=OWNER)
        go_on.set()
        await told.wait()
        group.cancel_scope.cancel()
    assert provider.ledger.cancels == ["job-2", "job-2"]


async def test_a_second_accepted_job_that_cannot_be_called_off_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a bounded number of tries, as an error that an operator sees."""
    provider = FakeJobProvider()
    provider.script.cancel.extend(ProviderUnavailable() for _ in range(9))
    world = World(provider, policy=replace(POLICY, submit_backoff=0.001))
    async with world.running() as tts:
        job = await world.submitted(tts)
        begun, go_on = paused_at(provider, "submit")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: world.submitted(tts))
            await begun.wait()
            jobs = await tts.list_tasks(owner=OWNER)
            other = next(each for each in jobs if each.task.ticket is None)
            taken = states.advance(
                other.task, states.SubmitAccepted({"id": "elsewhere"}, world.clock()), world.clock()
            )
            await world.tasks.replace(taken, other.generation, expected_version=other.task.version)
            go_on.set()
    assert job.task.ticket == {"id": "job-1"}
    assert provider.ledger.cancels == ["job-2"] * POLICY.max_cancel_attempts
    assert "could not be called off" in caplog.text


async def test_a_ticket_survives_an_outage_that_is_longer_than_a_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a provider answered is written with more patience than anything else."""
    world = World(FakeJobProvider(), policy=replace(POLICY, commit=0.01, insist=20))
    original = world.tasks.replace
    failures = [StorageUnavailable(), StorageUnavailable()]

    async def replace_(
        task: object, generation: object, *, expected_version: int, effect: Effect | None = None
    ) -> bool:
        if failures:
            raise failures.pop()
        return await original(task, generation, expected_version=expected_version, effect=effect)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(world.tasks, "replace", replace_)
    async with world.running() as tts:
        job = await world.submitted(tts)
    assert job.task.ticket == {"id": "job-1"}


# --- greedy vendors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [POLICY.accept_within, 86_400.0, 1e12])
async def test_a_vendor_cannot_put_a_task_off_beyond_its_deadline(seconds: float) -> None:
    """A day or a geological age: it would be too late, so the task fails at once, and says why."""
    provider = FakeDirectProvider()
    provider.script.submit.append(ProviderUnavailable(retry_after=seconds, code="busy"))
    world = World(provider)
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "busy")
    assert job.task.error.retry_after == min(seconds, LONGEST_WAIT)


class SlowProvider(FakeJobProvider):
    """Wants to be asked in a day."""

    async def check(self, ticket: Ticket) -> Running:
        return Running("later", check_after=86_400)


async def test_a_running_job_is_looked_at_by_its_deadline() -> None:
    """Whatever the vendor says about asking again."""
    world = World(SlowProvider())
    async with world.running() as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
    assert job.task.next_action_at == job.task.finish_by


async def test_a_busy_job_provider_that_asks_for_a_long_wait_is_not_waited_for() -> None:
    """Nobody holds a request open for a minute: the task fails, and says why."""
    provider = FakeJobProvider()
    provider.script.submit.extend(ProviderUnavailable(retry_after=60) for _ in range(3))
    world = World(provider)
    with anyio.fail_after(2):
        async with world.running() as tts:
            job = await world.submitted(tts)
    assert (job.task.status, provider.ledger.submits) == (Status.FAILED, 1)


# --- one part that misbehaves -------------------------------------------------------------------------


async def test_long_syntheses_hold_up_nobody_elses_step() -> None:
    """All synthesis slots are taken: a job provider's task is still checked by the sweep."""
    direct, job_provider = (
        FakeDirectProvider("direct"),
        FakeJobProvider("job", checks_until_ready=0),
    )
    paused_at(direct, "submit")
    world = World(job_provider, policy=replace(POLICY, concurrency=1, sweep_interval=0.01))
    async with world.running() as tts:
        waiting = await world.submitted(tts)
    world.provider = direct
    ended = anyio.Event()

    async def listen(transition: Transition) -> None:
        if transition.job.task.status.terminal:
            ended.set()

    async with world.running(background=True, also=(job_provider,), listeners=(listen,)) as tts:
        for _ in range(3):
            await world.submitted(tts)
        world.clock.advance(POLICY.check_interval + 1)
        with anyio.fail_after(2):
            await ended.wait()
    assert completed(await world.stored(waiting))


async def test_a_defect_in_the_store_is_not_the_end_of_all_sweeping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next round is begun as if nothing had happened."""
    world = World(FakeJobProvider(), policy=replace(POLICY, sweep_interval=0.001))
    again = anyio.Event()
    calls = 0

    async def claim_due(*, limit: int, hold_seconds: float) -> list[Job]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a defect")
        again.set()
        return []

    monkeypatch.setattr(world.tasks, "claim_due", claim_due)
    async with world.running(background=True):
        with anyio.fail_after(2):
            await again.wait()


async def test_an_owed_cancel_ends_although_the_adapter_is_broken() -> None:
    """A defect counts as a failed try."""
    provider = FakeJobProvider()
    provider.script.cancel.extend(KeyError("a defect") for _ in range(99))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.cancel(job.task.id, owner=OWNER)
        for _ in range(20):
            world.clock.advance(120)
            await tts.sweep_once()
    assert len(provider.ledger.cancels) == POLICY.max_cancel_attempts
    assert not (await world.stored(job)).task.cancel_owed


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancel_in_the_middle_of_leaving_leaks_nothing() -> None:
    """asyncio's own cancel goes through shields; what flew is stopped all the same."""
    provider = FakeDirectProvider()
    begun, _ = paused_at(provider, "submit")
    world = World(provider, policy=replace(POLICY, shutdown_grace=60))
    leaving = anyio.Event()

    async def host() -> None:
        async with world.running(background=True) as tts:
            await world.submitted(tts)
            await begun.wait()
            leaving.set()

    before = asyncio.all_tasks()
    task = asyncio.ensure_future(host())
    await leaving.wait()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert provider.ledger.in_flight == 0
    assert asyncio.all_tasks() == before
