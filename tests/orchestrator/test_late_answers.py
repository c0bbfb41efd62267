"""Answers that cost money and come late, or while our own database is away: what they made is on a row."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import anyio
import pytest

from tests.orchestrator.voices import CLIP, VOICE, cloned, previewed, refusal, tasks_of
from tests.orchestrator.world import OWNER, POLICY, World, paused_at, polled_to_the_end
from ttsorch import states
from ttsorch.errors import (
    Category,
    ProviderRejected,
    ProviderUnavailable,
    StorageUnavailable,
    TtsorchError,
)
from ttsorch.models import (
    Attempt,
    AudioStream,
    CheckResult,
    Effect,
    ErrorInfo,
    Generation,
    Job,
    OnUnknown,
    Phase,
    ProviderVoice,
    Ready,
    SpeechRequest,
    Status,
    Task,
    TaskKind,
    Ticket,
)
from ttsorch.orchestrator import Orchestrator
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider, lost_reply

pytestmark = pytest.mark.anyio


async def quietly(call: Callable[[], Awaitable[object]]) -> None:
    """As a client that has gone away meanwhile."""
    try:
        await call()
    except TtsorchError:
        return


async def clone_cancelled_under_way(world: World, provider: FakeCastingProvider) -> Task:
    """The call leaves; another process ends its task; the answer comes."""
    begun, go_on = paused_at(provider, "clone")
    async with world.running() as slow, world.running() as quick:
        await slow.upload_clip(VOICE, CLIP, owner=OWNER)
        async with anyio.create_task_group() as group:
            group.start_soon(quietly, partial(cloned, slow))
            await begun.wait()
            (task,) = await tasks_of(world, TaskKind.CLONE)
            await quick.cancel(task.id, owner=OWNER)
            go_on.set()
    (task,) = await tasks_of(world, TaskKind.CLONE)
    return task


async def preview_cancelled_under_way(world: World, provider: FakeCastingProvider) -> Task:
    begun, go_on = paused_at(provider, "design")
    async with world.running() as slow, world.running() as quick:
        job = await previewed(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(slow.poll_once, job.task.id, owner=OWNER))
            await begun.wait()
            await quick.cancel(job.task.id, owner=OWNER)
            go_on.set()
    return (await world.stored(job)).task


# --- after the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "under_way", [clone_cancelled_under_way, preview_cancelled_under_way], ids=["clone", "preview"]
)
@pytest.mark.parametrize("fetchable", [True, False])
async def test_a_voice_that_was_made_after_the_end_is_not_forgotten(
    under_way: Callable[[World, FakeCastingProvider], Awaitable[Task]], fetchable: bool
) -> None:
    """Its id and the bill's number are on the row, which stays cancelled and owes nothing more."""
    provider = FakeCastingProvider(fetchable=fetchable)
    task = await under_way(World(provider), provider)
    (voice,) = provider.ledger.voices
    assert (task.status, task.audio) == (Status.CANCELLED, None)
    assert task.voice.provider_voice_id == voice.id
    assert task.receipt is not None
    assert (task.outcome_open, task.envelope) == (False, None)


async def test_speech_that_comes_after_the_end_is_closed() -> None:
    """It may be holding a file, though nobody wants it any more."""
    provider = FakeDirectProvider()
    world = World(provider)
    begun, go_on = paused_at(provider, "submit")
    async with world.running() as slow, world.running() as quick:
        job = await world.submitted(slow)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(slow.poll_once, job.task.id, owner=OWNER))
            await begun.wait()
            await quick.cancel(job.task.id, owner=OWNER)
            go_on.set()
    after = await world.stored(job)
    assert provider.ledger.fetches == 1
    assert (after.task.status, after.task.outcome_open) == (Status.CANCELLED, False)


class BothProvider(FakeJobProvider):
    """Its checks bring the speech along, beside the way to fetch it."""

    def __init__(self) -> None:
        super().__init__(checks_until_ready=0)
        self.opened = 0

    async def check(self, ticket: Ticket) -> CheckResult:
        ready = await super().check(ticket)
        return replace(ready, audio=self._source()) if isinstance(ready, Ready) else ready

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[AudioStream]:
        self.opened += 1
        if self.opened > 1:
            raise ProviderUnavailable
        yield AudioStream(_nothing())


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


async def test_speech_beside_an_envelope_is_closed() -> None:
    """It is fetched by its envelope; what came along is let go of, also when it can't be opened."""
    provider = BothProvider()
    world = World(provider)
    async with world.running() as tts:
        for _ in range(2):
            job = await polled_to_the_end(tts, await world.submitted(tts))
            assert job.task.status is Status.COMPLETED
    assert (provider.opened, provider.ledger.fetches) == (2, 2)


# --- before anything else -----------------------------------------------------------------------------


@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_a_voice_is_on_the_row_before_its_speech_is_opened(on_unknown: OnUnknown) -> None:
    """Speech that can't be opened loses a preview, not the voice, which is never made a second time."""
    provider = FakeCastingProvider()
    provider.script.fetch.append(ProviderUnavailable(detail="it broke while it was opened"))
    world = World(provider)
    async with world.running(on_unknown=on_unknown) as tts:
        job = await polled_to_the_end(tts, await previewed(tts))
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code) == (Status.FAILED, "preview_lost")
    assert [voice.id for voice in provider.ledger.voices] == [job.task.voice.provider_voice_id]
    assert job.task.receipt is not None


def away_once_answered(world: World, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """The database refuses the first writes of what a provider answered."""
    original, left = world.tasks.replace, [StorageUnavailable() for _ in range(writes)]

    async def replace_(
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        if left and task.phase in (Phase.STORING, Phase.READY):
            raise left.pop()
        return await original(task, generation, expected_version=expected_version, effect=effect)

    monkeypatch.setattr(world.tasks, "replace", replace_)


@pytest.mark.parametrize("fetchable", [True, False])
async def test_an_answer_survives_an_outage_that_is_longer_than_a_commit(
    fetchable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speech in our hands is written with the same patience as the way to it."""
    provider = FakeCastingProvider(fetchable=fetchable)
    world = World(provider, policy=replace(POLICY, commit=0.01, insist=20))
    away_once_answered(world, monkeypatch, 2)
    async with world.running() as tts:
        job = await polled_to_the_end(tts, await previewed(tts))
    assert (job.task.status, len(provider.ledger.voices)) == (Status.COMPLETED, 1)


# --- after a resubmit ---------------------------------------------------------------------------------


async def lost_then_refused(tts: Orchestrator, world: World, provider: FakeJobProvider) -> Job:
    provider.script.submit_reply_lost.append(lost_reply())
    provider.script.submit.extend([None, ProviderRejected()])
    job = await world.submitted(tts)
    return await polled_to_the_end(tts, job)


async def test_a_job_that_was_accepted_stays_listed_when_the_next_attempt_is_refused() -> None:
    """The refusal is certain, the job before it is not: somebody has to look at the bill."""
    provider = FakeJobProvider()
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await lost_then_refused(tts, world, provider)
        (unknown,) = await tts.list_unknown()
    assert (job.task.status, job.task.ticket) == (Status.FAILED, None)
    assert (len(provider.ledger.accepted), unknown.task.id) == (1, job.task.id)


async def test_a_task_that_waits_after_a_resubmit_is_listed() -> None:
    """The first call may be running for us all the while."""
    provider = FakeDirectProvider()
    provider.script.submit_reply_lost.append(lost_reply())
    provider.script.submit.extend([None, ProviderUnavailable(retry_after=30)])
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await tts.poll_once((await world.submitted(tts)).task.id, owner=OWNER)
        (unknown,) = await tts.list_unknown()
        assert (job.task.phase, unknown.task.id) == (Phase.QUEUED, job.task.id)
        world.clock.advance(31)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert await tts.list_unknown() == []
    assert job.task.status is Status.COMPLETED


async def test_a_voice_that_may_have_been_made_is_not_made_again_when_the_host_changes_its_mind() -> (
    None
):
    """The refusal of the second call says nothing about the first, which nobody may repeat now."""
    provider = FakeCastingProvider()
    provider.script.clone_reply_lost.append(lost_reply())
    provider.script.clone.extend([None, ProviderRejected()])
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        await tts.upload_clip(VOICE, CLIP, owner=OWNER)
        await refusal(tts)
    async with world.running(on_unknown=OnUnknown.FAIL) as tts:
        await refusal(tts)
    assert len(provider.ledger.voices) == 1


class BreakingProvider(FakeDirectProvider):
    """Its first answer breaks off in the middle; each one has a number on the bill."""

    async def submit(self, request: SpeechRequest, attempt: Attempt) -> Ready:
        await super().submit(request, attempt)
        source = self._breaking() if attempt.number == 1 else self._open()
        return Ready(audio=source, receipt={"request_id": f"r-{attempt.number}"})

    @asynccontextmanager
    async def _breaking(self) -> AsyncIterator[AudioStream]:
        async def chunks() -> AsyncIterator[bytes]:
            yield self.audio[:500]
            raise ProviderUnavailable

        yield AudioStream(chunks())


async def test_every_bill_of_a_task_is_on_its_row() -> None:
    """Speech that was paid twice has two numbers."""
    provider = BreakingProvider()
    world = World(provider)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await polled_to_the_end(tts, await world.submitted(tts))
    assert (job.task.status, len(provider.ledger.accepted)) == (Status.COMPLETED, 2)
    assert job.task.receipt == {"request_id": "r-2", "earlier": [{"request_id": "r-1"}]}


async def test_a_preview_that_comes_after_it_was_given_up_for_lost_keeps_its_voice() -> None:
    """Its process was away for longer than its lease; the voice is on the row, and is not made again."""
    world = World(provider := FakeCastingProvider(on_unknown=OnUnknown.RESUBMIT))
    async with world.running() as tts:
        queued = await previewed(tts)
    now = world.clock()
    started = states.advance(queued.task, states.SubmitStarted("provider_synthesizing"), now)
    lost = ErrorInfo(Category.TIMEOUT, "submission_outcome_unknown", "Lost.")
    unknown = states.advance(started, states.SubmitLost(lost, now + timedelta(minutes=1)), now)
    late = states.advance(unknown, states.AnswerArrived(ProviderVoice("design-9"), None), now)
    assert (late.phase, late.outcome_open) == (Phase.SUBMIT_UNKNOWN, True)
    for task, version in ((started, 1), (unknown, 2), (late, 3)):
        assert await world.tasks.replace(task, None, expected_version=version)
    async with world.running(on_unknown=OnUnknown.RESUBMIT) as tts:
        job = await tts.poll_once(queued.task.id, owner=OWNER)
    assert job.task.error is not None
    assert (job.task.error.code, job.task.voice.provider_voice_id) == ("preview_lost", "design-9")
    assert provider.ledger.submits == 0


async def test_a_refusal_that_comes_after_a_cancel_closes_the_question() -> None:
    """Nothing was begun, so nothing is left on the list of unknown outcomes."""
    world = World(provider := FakeJobProvider())
    begun, go_on = paused_at(provider, "submit")
    provider.script.submit.append(ProviderRejected())
    async with world.running() as tts, anyio.create_task_group() as group:
        group.start_soon(world.submitted, tts)
        await begun.wait()
        [job] = await tts.list_tasks(owner=OWNER)
        await tts.cancel(job.task.id, owner=OWNER)
        go_on.set()
    after = (await world.stored(job)).task
    assert (after.phase, after.outcome_open) == (Phase.CANCELLED, False)
    assert await world.tasks.list_unknown() == []


async def test_a_step_that_was_put_back_is_not_said_to_be_unknown() -> None:
    """It stopped before its call; when its time is over, that is not the reason."""
    world = World(FakeDirectProvider())
    async with world.running() as tts:
        job = await world.submitted(tts)
        put_back = ErrorInfo(Category.PROVIDER_UNAVAILABLE, "not_sent", "Later.", detail="stopped")
        started = states.advance(job.task, states.SubmitStarted("w"), world.clock())
        task = states.advance(
            started, states.SubmitDeferred(put_back, world.clock()), world.clock()
        )
        ended = states.advance(task, states.DeadlinePassed(), world.clock())
    assert ended.error is not None
    assert (ended.error.code, ended.error.ambiguous, ended.outcome_open) == (
        "not_sent",
        False,
        False,
    )
