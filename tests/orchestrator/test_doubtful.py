"""Failures of three kinds (doubtful, started, certain), and what no row, repr or log may show of them."""

from collections import deque
from dataclasses import replace

import pytest

from tests.orchestrator.voices import CLIP, WORDS, previewed, uploaded_and_cloned
from tests.orchestrator.world import OWNER, POLICY, World, completed, polled_to_the_end
from ttsorch import states
from ttsorch.errors import (
    Category,
    NotFound,
    ProviderInvalid,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ResultExpired,
    TaskCancelled,
    TtsorchError,
)
from ttsorch.models import (
    Accepted,
    CheckResult,
    Clip,
    ErrorInfo,
    Failed,
    Job,
    OnUnknown,
    Phase,
    Ready,
    Running,
    SpeechRequest,
    Status,
    Ticket,
)
from ttsorch.testing.fake_voices import FakeCastingProvider
from ttsorch.testing.fakes import FakeDirectProvider, FakeJobProvider
from ttsorch.testing.speech import a_request, a_voice

pytestmark = pytest.mark.anyio

GONE = ErrorInfo(Category.PROVIDER_REJECTED, "function_call_lost", "The job failed.")
DOUBTFUL = Failed(GONE, doubtful=True)


class Says(FakeJobProvider):
    """Answers its checks as it is told, and then as ever."""

    def __init__(self, *answers: CheckResult | Exception) -> None:
        super().__init__(checks_until_ready=0)
        self.answers = deque(answers)

    async def check(self, ticket: Ticket) -> CheckResult:
        if not self.answers:
            return await super().check(ticket)
        self.ledger.checks += 1
        if isinstance(answer := self.answers.popleft(), Exception):
            raise answer
        return answer


INTERVAL = POLICY.check_interval


async def polls_of(world: World, polls: int, *, apart: float = INTERVAL) -> list[Job]:
    """So many seconds apart."""
    answers = []
    async with world.running() as tts:
        job = await world.submitted(tts)
        for _ in range(polls):
            answers.append(await tts.poll_once(job.task.id, owner=OWNER))
            world.clock.advance(apart)
    return answers


# --- doubtful -----------------------------------------------------------------------------------------


async def test_a_doubtful_failure_has_to_be_repeated_after_a_while() -> None:
    """The first is noted on the row and shown to nobody, the second is believed."""
    world = World(Says(DOUBTFUL, DOUBTFUL))
    first, second = await polls_of(world, 2)
    assert (first.task.phase, first.task.error) == (Phase.RUNNING, None)
    assert states.provider_status(first.task) == "provider_synthesizing"
    assert first.task.doubted_at == first.task.updated_at
    assert (second.task.status, second.task.error) == (Status.FAILED, GONE)


@pytest.mark.parametrize("apart", [0.0, INTERVAL / 10])
async def test_a_doubtful_failure_that_is_repeated_too_soon_is_the_same_one(apart: float) -> None:
    """However often it is asked about: many tabs, one blip. Only the first is written."""
    *_, last = await polls_of(World(Says(*[DOUBTFUL] * 5)), 5, apart=apart)
    first, *_ = await polls_of(World(Says(DOUBTFUL)), 1)
    assert (last.task.phase, last.task.version) == (Phase.RUNNING, first.task.version)


async def test_two_processes_that_ask_at_once_meet_one_blip() -> None:
    """Both are told of the failure in the same instant: the job goes on."""
    world = World(Says(DOUBTFUL, DOUBTFUL))
    async with world.running() as one, world.running() as other:
        job = await world.submitted(one)
        await one.poll_once(job.task.id, owner=OWNER)
        assert (await other.poll_once(job.task.id, owner=OWNER)).task.phase is Phase.RUNNING
        world.clock.advance(INTERVAL)
        assert completed(await polled_to_the_end(one, job))


async def test_a_doubtful_failure_is_asked_about_again_by_the_sweep() -> None:
    """After the usual interval, by whatever process."""
    world = World(Says(DOUBTFUL, DOUBTFUL))
    await polls_of(world, 1)
    async with world.running() as tts:
        await tts.sweep_once()
        (job,) = await tts.list_tasks(owner=OWNER)
    assert job.task.status is Status.FAILED


async def test_a_doubtful_failure_that_was_believed_is_told_to_the_provider() -> None:
    """If it was wrong twice, the job is still running there, so a cancel is owed."""
    world = World(provider := Says(DOUBTFUL, DOUBTFUL))
    *_, failed = await polls_of(world, 2)
    assert failed.task.cancel_owed
    async with world.running() as tts:
        await tts.sweep_once()
    assert provider.ledger.cancels == ["job-1"]
    assert not (await world.stored(failed)).task.cancel_owed


@pytest.mark.parametrize(
    "answer",
    [Running(), Running("running"), Running("later")],
    ids=["no word", "same word", "new word"],
)
async def test_a_word_in_between_starts_the_count_anew(answer: Running) -> None:
    """Running, also with the word that the row shows already, and the doubt is gone."""
    world = World(Says(Running("running"), DOUBTFUL, answer, DOUBTFUL, DOUBTFUL))
    answers = await polls_of(world, 5)
    assert [job.task.doubted_at is not None for job in answers[:4]] == [False, True, False, True]
    assert [job.task.phase for job in answers[:4]] == [Phase.RUNNING] * 4
    assert answers[4].task.status is Status.FAILED


async def test_a_result_in_between_starts_the_count_anew() -> None:
    """Also when that result was gone before it was fetched."""
    world = World(provider := Says(DOUBTFUL, Ready({"id": "job-1"}), DOUBTFUL))
    provider.script.fetch.append(ResultExpired())
    _, ready, doubted, last = await polls_of(world, 4)
    assert (ready.task.phase, ready.task.doubted_at) == (Phase.RUNNING, None)
    assert (doubted.task.phase, doubted.task.error is not None) == (Phase.RUNNING, True)
    assert completed(last)


async def test_a_word_of_the_providers_own_is_no_doubt() -> None:
    """Whatever it calls what it is doing."""
    *_, last = await polls_of(World(Says(Running("provider_failing"), DOUBTFUL)), 2)
    assert last.task.phase is Phase.RUNNING


async def test_a_check_that_could_not_be_made_says_nothing() -> None:
    """It neither confirms the failure nor takes it back."""
    world = World(Says(DOUBTFUL, ProviderUnavailable(), DOUBTFUL))
    _, unasked, last = await polls_of(world, 3)
    assert (unasked.task.phase, unasked.task.word) == (Phase.RUNNING, "status_error")
    assert last.task.status is Status.FAILED


async def test_a_certain_failure_is_believed_at_once() -> None:
    """Also after a doubtful one."""
    (at_once,) = await polls_of(World(Says(Failed(GONE))), 1)
    assert (at_once.task.error, at_once.task.cancel_owed) == (GONE, False)
    _, after_doubt = await polls_of(World(Says(DOUBTFUL, Failed(GONE))), 2)
    assert after_doubt.task.error == GONE


# --- started ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direct", [False, True], ids=["job", "direct"])
@pytest.mark.parametrize("on_unknown", OnUnknown)
async def test_what_began_and_failed_is_never_sent_again_by_itself(
    direct: bool, on_unknown: OnUnknown
) -> None:
    """Whatever the host allows, and however retryable: it may have been paid, and it surely failed."""
    provider = FakeDirectProvider() if direct else FakeJobProvider()
    provider.script.submit.append(ProviderUnavailable(code="broke", started=True, retryable=True))
    world = World(provider)
    async with world.running(on_unknown=on_unknown) as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        world.clock.advance(600)
        await tts.sweep_once()
    assert job.task.error is not None
    assert (job.task.status, job.task.error.code, job.task.error.retryable) == (
        Status.FAILED,
        "broke",
        True,
    )
    assert (provider.ledger.submits, job.task.outcome_open) == (1, False)


@pytest.mark.parametrize("direct", [False, True], ids=["job", "direct"])
async def test_what_never_began_is_sent_again(direct: bool) -> None:
    """The same failure without ``started``."""
    provider = FakeDirectProvider() if direct else FakeJobProvider()
    provider.script.submit.append(ProviderUnavailable(code="busy", retry_after=0.01))
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        await tts.poll_once(job.task.id, owner=OWNER)
        world.clock.advance(60)
        assert completed(await polled_to_the_end(tts, job))
    assert provider.ledger.submits == 2


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "job"])
async def test_a_call_that_timed_out_is_not_made_again(direct: bool) -> None:
    """Also of an adapter that doesn't say whether it may have been accepted: nobody pays twice over that."""
    provider = FakeDirectProvider() if direct else FakeJobProvider()
    provider.script.submit += [ProviderTimeout(), ProviderTimeout()]
    world = World(provider)
    async with world.running() as tts:
        job = await world.submitted(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert job.task.phase is Phase.SUBMIT_UNKNOWN
        world.clock.advance(POLICY.unknown_grace + 1)
        job = await polled_to_the_end(tts, job)
    assert job.task.error is not None
    assert (job.task.status, job.task.error.category) == (Status.FAILED, Category.TIMEOUT)
    assert len(provider.script.submit) == 1


# --- errors on rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProviderRejected(code="moderated", detail="d"), ProviderRejected),
        (ProviderInvalid("Too short."), ProviderInvalid),
        (NotFound("Gone."), ProviderInvalid),
        (ProviderTimeout(retry_after=3.0, ambiguous=False), ProviderTimeout),
        (TaskCancelled(), TaskCancelled),
        (ProviderUnavailable(), ProviderUnavailable),
    ],
)
def test_a_failure_on_a_row_can_be_raised(error: TtsorchError, kind: type[TtsorchError]) -> None:
    """With everything a caller goes by: category, code, sentence, wait."""
    raised = ErrorInfo.of(error).as_error()
    assert type(raised) is kind
    assert (raised.category, raised.code, raised.message, raised.detail, raised.retry_after) == (
        error.category,
        error.code,
        error.message,
        error.detail,
        error.retry_after,
    )


def test_a_failure_on_a_row_says_what_a_retry_may_cost() -> None:
    """May it have been accepted, has it begun, is it worth another try: as the provider told it. A proxy
    that repeats what answers 503 must not repeat what may be paid again."""
    doubt = ProviderTimeout(ambiguous=True, request_id="r-1", provider_code="E1")
    raised = ErrorInfo.of(doubt).as_error()
    assert isinstance(raised, ProviderTimeout)
    assert (raised.ambiguous, raised.request_id, raised.provider_code) == (True, "r-1", "E1")
    assert (raised.started, raised.retryable, raised.http_status) == (False, doubt.retryable, 502)
    broke = ProviderUnavailable(started=True, retryable=False)
    raised = ErrorInfo.of(broke).as_error()
    assert isinstance(raised, ProviderUnavailable)
    assert (raised.started, raised.ambiguous, raised.retryable) == (True, False, False)
    assert raised.http_status == 502
    harmless = ProviderUnavailable(retryable=False)
    assert ErrorInfo.of(harmless).as_error().http_status == harmless.http_status != 502


def test_a_request_that_the_provider_calls_wrong_is_the_users_to_correct() -> None:
    """Category validation, 400, and never sent again."""
    error = ProviderInvalid()
    assert (error.category, error.http_status, error.retryable) == (Category.VALIDATION, 400, False)


# --- what stays on a row ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("published", Status.COMPLETED),
        ("given up", Status.FAILED),
        ("deadline", Status.FAILED),
        ("cancel", Status.CANCELLED),
    ],
)
async def test_the_envelope_goes_with_the_end_and_the_receipt_stays(
    end: str, status: Status
) -> None:
    """However a task ends, the link to its result is forgotten, and the bill's number is not."""
    world = World(provider := FakeCastingProvider(fetchable=True))
    provider.script.fetch.append(ProviderUnavailable())
    async with world.running() as tts:
        job = await previewed(tts)
        job = await tts.poll_once(job.task.id, owner=OWNER)
        assert (job.task.phase, job.task.envelope) == (Phase.READY, {"key": job.task.id})
        receipt = job.task.receipt
        assert receipt is not None
        if end == "cancel":
            await tts.cancel(job.task.id, owner=OWNER)
        elif end == "deadline":
            world.clock.advance(POLICY.finish_within * 2)
        elif end == "given up":
            tries = POLICY.max_finalize_attempts
            provider.script.fetch.extend(ProviderUnavailable() for _ in range(tries))
        while not job.task.status.terminal:
            world.clock.advance(60)
            job = await tts.poll_once(job.task.id, owner=OWNER)
    assert job.task.status is status
    assert (job.task.envelope, job.task.receipt) == (None, receipt)
    assert job.task.voice.provider_voice_id == "design-1"


# --- what is never shown ------------------------------------------------------------------------------


async def test_no_repr_shows_what_people_said_or_what_opens_their_results(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Texts, transcripts, descriptions, recordings, tickets and envelopes stay out of every repr and log."""
    caplog.set_level("DEBUG")
    world = World(FakeCastingProvider(fetchable=True))
    async with world.running() as tts:
        voice = await uploaded_and_cloned(tts)
        request = SpeechRequest("SECRET text", voice, options={"knob": "SECRET option"})
        spoken = await polled_to_the_end(tts, await tts.submit(request, owner=OWNER))
        preview = await polled_to_the_end(
            tts,
            await tts.preview_design(
                text="SECRET preview", description="SECRET description", owner=OWNER
            ),
        )
        saved = await tts.save_design(preview.task.id, owner=OWNER)
    open_task = replace(spoken.task, ticket={"id": "SECRET"}, envelope={"url": "SECRET"})
    shown = [
        *(voice, saved, request, spoken, preview, open_task),
        replace(request, clip=Clip(CLIP, "audio/wav")),
        Accepted({"id": "SECRET"}),
        Ready({"url": "SECRET"}),
        replace(a_request(), voice=replace(a_voice(), reference_transcript="SECRET")),
    ]
    for record in shown:
        text = repr(record)
        assert "SECRET" not in text
        assert WORDS not in text
        assert "RIFF" not in text
    assert "SECRET" not in caplog.text
    assert repr(Clip(CLIP, "audio/wav")) == "Clip(content_type='audio/wav')"
