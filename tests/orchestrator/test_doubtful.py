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


async def polls_of(world: World, polls: int) -> list[Job]:
    async with world.running() as tts:
        job = await world.submitted(tts)
        return [await tts.poll_once(job.task.id, owner=OWNER) for _ in range(polls)]


# --- doubtful -----------------------------------------------------------------------------------------


async def test_a_doubtful_failure_has_to_be_said_twice_in_a_row() -> None:
    """The first is shown as what it is, the second is believed."""
    world = World(Says(DOUBTFUL, DOUBTFUL))
    first, second = await polls_of(world, 2)
    assert first.task.phase is Phase.RUNNING
    assert (states.provider_status(first.task), first.task.error) == ("provider_failing", None)
    assert first.task.next_action_at is not None
    assert (second.task.status, second.task.error) == (Status.FAILED, GONE)


async def test_a_doubtful_failure_is_asked_about_again_by_the_sweep() -> None:
    """After the usual interval, by whatever process."""
    world = World(Says(DOUBTFUL, DOUBTFUL))
    await polls_of(world, 1)
    world.clock.advance(POLICY.check_interval + 1)
    async with world.running() as tts:
        await tts.sweep_once()
        (job,) = await tts.list_tasks(owner=OWNER)
    assert job.task.status is Status.FAILED


async def test_a_word_in_between_starts_the_count_anew() -> None:
    """Running, and the doubt is gone; so is it when the result is there."""
    world = World(Says(DOUBTFUL, Running(), DOUBTFUL, Ready({"id": "job-1"})))
    answers = await polls_of(world, 4)
    assert [job.task.phase for job in answers[:3]] == [Phase.RUNNING] * 3
    assert [job.task.word for job in answers[:3]] == [
        "provider_failing",
        "running",
        "provider_failing",
    ]
    assert completed(answers[3])


async def test_a_check_that_could_not_be_made_says_nothing() -> None:
    """It neither confirms the failure nor takes it back."""
    world = World(Says(DOUBTFUL, ProviderUnavailable(), DOUBTFUL))
    _, unasked, last = await polls_of(world, 3)
    assert (unasked.task.phase, unasked.task.word) == (Phase.RUNNING, "status_error")
    assert last.task.status is Status.FAILED


async def test_a_certain_failure_is_believed_at_once() -> None:
    """Also after a doubtful one."""
    (at_once,) = await polls_of(World(Says(Failed(GONE))), 1)
    assert at_once.task.error == GONE
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


# --- errors on rows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ProviderRejected(code="moderated", detail="d"), ProviderRejected),
        (ProviderInvalid("Too short."), ProviderInvalid),
        (NotFound("Gone."), ProviderInvalid),
        (ProviderTimeout(retry_after=3.0), ProviderTimeout),
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
            provider.script.fetch.extend(ProviderUnavailable() for _ in range(9))
        for _ in range(9):
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
