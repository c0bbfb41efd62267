"""The transition table and what follows from a task's state."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsorch import states
from ttsorch.errors import Category, IllegalTransition
from ttsorch.models import (
    ErrorInfo,
    Generation,
    Phase,
    Policy,
    ProviderVoice,
    Status,
    StoredAudio,
    Task,
)
from ttsorch.testing.speech import a_voice

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(seconds=10)
ERROR = ErrorInfo(Category.PROVIDER_UNAVAILABLE, "broken", "It broke.")
AUDIO = StoredAudio("a/b/1.wav", 10, "00", "audio/wav", 1.5)

EVENTS: dict[type[states.Event], Callable[[], states.Event]] = {
    states.SubmitStarted: lambda: states.SubmitStarted("provider_submitting"),
    states.SubmitDeferred: lambda: states.SubmitDeferred(ERROR, LATER),
    states.SubmitLost: lambda: states.SubmitLost(ERROR, LATER),
    states.Resubmit: lambda: states.Resubmit(LATER),
    states.SubmitAccepted: lambda: states.SubmitAccepted({"id": "1"}, LATER),
    states.ProgressMade: lambda: states.ProgressMade("working", 2.0, 0.5, LATER),
    states.CheckDeferred: lambda: states.CheckDeferred(LATER),
    states.FailureDoubted: lambda: states.FailureDoubted(LATER),
    states.ResultReady: lambda: states.ResultReady({"url": "u"}, LATER),
    states.StoreStarted: states.StoreStarted,
    states.StoreDeferred: lambda: states.StoreDeferred(ERROR, LATER),
    states.ResultLost: lambda: states.ResultLost(ERROR, LATER),
    states.Stored: lambda: states.Stored(AUDIO),
    states.VoiceAdded: lambda: states.VoiceAdded(AUDIO),
    states.TaskFailed: lambda: states.TaskFailed(ERROR),
    states.DeadlinePassed: states.DeadlinePassed,
    states.CancelRequested: lambda: states.CancelRequested(ERROR),
    states.TicketArrived: lambda: states.TicketArrived({"id": "late"}),
    states.AnswerArrived: lambda: states.AnswerArrived(ProviderVoice("late"), {"request_id": "r"}),
    states.CancelDeferred: lambda: states.CancelDeferred(LATER),
    states.CancelSettled: states.CancelSettled,
}
ALL = [(phase, event) for phase in Phase for event in EVENTS]
TERMINAL = [phase for phase in Phase if phase.status.terminal]


def queued(**changes: object) -> Task:
    task = states.new_task(
        id="t",
        owner="o",
        provider="p",
        voice=a_voice(),
        characters=100,
        now=NOW,
        policy=Policy(accept_within=60, finish_within=100, finish_per_character=1),
        generation_id="g",
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def in_phase(phase: Phase) -> Task:
    if phase in TERMINAL:
        return queued(phase=phase, next_action_at=None)
    return queued(phase=phase, lease_until=LATER)


def advanced(task: Task, *events: states.Event) -> Task:
    for event in events:
        task = states.advance(task, event, NOW)
    return task


def test_no_event_is_left_out() -> None:
    """What follows is about every event there is."""
    assert set(EVENTS) == set(get_args(states.Event))


@pytest.mark.parametrize(("phase", "event"), ALL)
def test_an_event_moves_a_task_only_along_the_table(
    phase: Phase, event: type[states.Event]
) -> None:
    """A listed event leads to the listed phase; any other raises and leaves the task as it was."""
    task = in_phase(phase)
    before = replace(task)
    if event in states.TRANSITIONS[phase]:
        after = states.advance(task, EVENTS[event](), NOW)
        assert after.phase is states.TRANSITIONS[phase][event]
        assert after.version == task.version + 1
    else:
        assert not states.allows(task, EVENTS[event]())
        with pytest.raises(IllegalTransition):
            states.advance(task, EVENTS[event](), NOW)
    assert task == before


@pytest.mark.parametrize("phase", TERMINAL)
def test_no_event_leads_out_of_a_terminal_phase(phase: Phase) -> None:
    """Terminal means terminal."""
    assert set(states.TRANSITIONS[phase].values()) <= {phase}


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in TERMINAL])
def test_every_active_task_can_fail_and_be_cancelled(phase: Phase) -> None:
    """No phase is a trap: a deadline and the user always have a way out."""
    row = states.TRANSITIONS[phase]
    assert row[states.DeadlinePassed] is Phase.FAILED
    assert row[states.TaskFailed] is Phase.FAILED
    assert row[states.CancelRequested] is Phase.CANCELLED


@pytest.mark.parametrize(("phase", "event"), [e for e in ALL if e[1] in states.TRANSITIONS[e[0]]])
def test_somebody_will_look_at_every_active_task_again(
    phase: Phase, event: type[states.Event]
) -> None:
    """After any transition, an active task has a next action and a terminal one has none owed to it."""
    after = states.advance(in_phase(phase), EVENTS[event](), NOW)
    assert (after.next_action_at is None) == (after.status.terminal and not after.cancel_owed) or (
        event is states.CancelDeferred
    )


@pytest.mark.parametrize("phase", [p for p in Phase if p not in TERMINAL])
def test_an_end_releases_the_lease_and_stamps_the_time(phase: Phase) -> None:
    """A terminal row holds no lease and says when it ended."""
    after = states.advance(in_phase(phase), states.TaskFailed(ERROR), LATER)
    assert after.lease_until is None
    assert after.completed_at == LATER
    assert after.error == ERROR


def test_a_new_task_is_queued_and_due_at_once() -> None:
    """Whoever sweeps first may start it."""
    task = queued()
    assert (task.phase, task.next_action_at, task.version) == (Phase.QUEUED, NOW, 1)


def test_the_time_to_finish_grows_with_the_text() -> None:
    """A hundred characters at a second each are added to the base."""
    assert queued().finish_by == NOW + timedelta(seconds=200)


def test_a_task_never_has_to_finish_before_it_had_to_be_accepted() -> None:
    """The later deadline is never the earlier one, whatever the policy says."""
    policy = Policy(accept_within=900, finish_within=1, finish_per_character=0)
    task = states.new_task(
        id="t", owner="o", provider="p", voice=a_voice(), characters=1, now=NOW, policy=policy
    )
    assert task.finish_by == task.accept_by


def test_an_attempt_is_counted_and_its_outcome_is_open_until_told() -> None:
    """Between the call and its answer the task admits that it doesn't know."""
    started = advanced(queued(), EVENTS[states.SubmitStarted]())
    assert (started.attempts, started.outcome_open, started.submitted_at) == (1, True, NOW)
    assert not advanced(started, EVENTS[states.SubmitAccepted]()).outcome_open
    assert advanced(started, EVENTS[states.SubmitLost]()).outcome_open
    assert not advanced(started, EVENTS[states.SubmitDeferred]()).outcome_open
    assert advanced(started, EVENTS[states.CancelRequested]()).outcome_open


@pytest.mark.parametrize(
    "end", [states.SubmitDeferred, states.TaskFailed, states.DeadlinePassed, states.CancelRequested]
)
def test_a_call_that_was_never_answered_stays_open_whatever_becomes_of_the_next(
    end: type[states.Event],
) -> None:
    """A second attempt that was surely refused says nothing about the first."""
    lost = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitLost]())
    again = advanced(lost, EVENTS[states.Resubmit](), EVENTS[states.SubmitStarted]())
    assert again.outcome_open
    assert advanced(again, EVENTS[end]()).outcome_open


def test_a_second_attempt_that_was_accepted_settles_the_first() -> None:
    """It is followed by its ticket; that asking twice may cost twice was the host's choice."""
    lost = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitLost]())
    again = advanced(lost, EVENTS[states.Resubmit](), EVENTS[states.SubmitStarted]())
    assert not advanced(again, EVENTS[states.SubmitAccepted]()).outcome_open


def test_a_second_attempt_keeps_the_time_of_the_first() -> None:
    """``submitted_at`` is when we first asked."""
    lost = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitLost]())
    again = advanced(lost, EVENTS[states.Resubmit]())
    restarted = states.advance(again, EVENTS[states.SubmitStarted](), LATER)
    assert (restarted.attempts, restarted.resubmits, restarted.submitted_at) == (2, 1, NOW)


def test_a_lost_submit_is_resolved_by_its_own_deadline() -> None:
    """The grace period replaces the deadline for being accepted."""
    lost = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitLost]())
    assert states.deadline(lost) == LATER


def test_a_cancelled_job_with_a_ticket_is_owed_a_cancel_at_the_provider() -> None:
    """Ending our row doesn't end the provider's work."""
    running = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitAccepted]())
    cancelled = advanced(running, EVENTS[states.CancelRequested]())
    assert cancelled.cancel_owed
    assert cancelled.next_action_at == NOW
    deferred = advanced(cancelled, EVENTS[states.CancelDeferred]())
    assert (deferred.cancel_attempts, deferred.next_action_at) == (1, LATER)
    settled = advanced(deferred, EVENTS[states.CancelSettled]())
    assert (settled.cancel_owed, settled.next_action_at) == (False, None)


def test_a_task_that_failed_at_the_provider_owes_it_nothing() -> None:
    """There is nothing left to cancel."""
    running = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitAccepted]())
    assert not advanced(running, EVENTS[states.TaskFailed]()).cancel_owed


def test_a_failure_that_may_be_wrong_owes_the_provider_a_cancel() -> None:
    """The job may be running there all the same."""
    running = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.SubmitAccepted]())
    failed = advanced(running, states.TaskFailed(ERROR, owing=True))
    assert (failed.phase, failed.cancel_owed, failed.next_action_at) == (Phase.FAILED, True, NOW)


@pytest.mark.parametrize("event", [states.ProgressMade, states.ResultReady])
def test_a_doubt_lasts_until_the_provider_says_something_else(event: type[states.Event]) -> None:
    """The time of the first one counts; a new word, or a result, takes it back."""
    doubted = advanced(in_phase(Phase.RUNNING), EVENTS[states.FailureDoubted]())
    assert (doubted.doubted_at, doubted.next_action_at, doubted.error) == (NOW, LATER, None)
    assert advanced(doubted, EVENTS[event]()).doubted_at is None


@pytest.mark.parametrize("end", [Phase.FAILED, Phase.CANCELLED])
def test_an_answer_that_arrives_after_the_end_leaves_what_was_made(end: Phase) -> None:
    """The voice and the bill's number are kept, and the end stays the end."""
    ended = replace(in_phase(end), outcome_open=True, completed_at=NOW, error=ERROR)
    late = advanced(ended, EVENTS[states.AnswerArrived]())
    assert (late.phase, late.error, late.completed_at) == (end, ERROR, NOW)
    assert (late.voice.provider_voice_id, late.receipt) == ("late", {"request_id": "r"})
    assert not late.outcome_open
    twice = advanced(replace(ended, resubmits=1), EVENTS[states.AnswerArrived]())
    assert twice.outcome_open


def test_a_ticket_that_arrives_after_the_end_is_kept_and_owed_a_cancel() -> None:
    """A paid job is never forgotten, and the end stays the end."""
    cancelled = advanced(queued(), EVENTS[states.SubmitStarted](), EVENTS[states.CancelRequested]())
    late = advanced(cancelled, EVENTS[states.TicketArrived]())
    assert (late.phase, late.ticket, late.cancel_owed) == (Phase.CANCELLED, {"id": "late"}, True)
    assert not late.outcome_open


def test_a_stale_envelope_is_forgotten_with_its_expiry() -> None:
    """Asking again must not use the old URL."""
    ready = in_phase(Phase.READY)
    lost = advanced(replace(ready, envelope={"url": "u"}), EVENTS[states.ResultLost]())
    assert (lost.envelope, lost.result_expires_at, lost.finalize_attempts) == (None, None, 1)


MADE = ProviderVoice("v-1", "model-1", "vc")


@pytest.mark.parametrize(
    "event",
    [
        states.ResultReady({}, voice=MADE, receipt={"request_id": "r"}),
        states.StoreStarted(voice=MADE, receipt={"request_id": "r"}),
    ],
    ids=["ready", "in hand"],
)
def test_what_a_call_made_is_on_the_row_with_its_receipt(event: states.Event) -> None:
    """The voice it made, in the transition that records the answer; a later one takes neither away."""
    task = advanced(in_phase(Phase.SUBMITTING), event)
    assert (task.voice.provider_voice_id, task.voice.provider_target_model) == ("v-1", "model-1")
    assert (task.voice.provider_voice_kind, task.voice.name) == ("vc", a_voice().name)
    assert (task.receipt, task.outcome_open) == ({"request_id": "r"}, False)
    again = advanced(replace(task, phase=Phase.READY), states.StoreStarted())
    assert (again.voice, again.receipt) == (task.voice, task.receipt)
    lost = advanced(again, EVENTS[states.ResultLost](), states.ResultReady({"url": "2"}))
    assert (lost.voice, lost.receipt) == (task.voice, task.receipt)


def test_receipts_of_earlier_attempts_are_kept() -> None:
    """Each may have been paid: the newest is the receipt, those before it are listed under it, once."""
    task = in_phase(Phase.READY)
    for number in ("1", "2", "2", "3"):
        task = advanced(task, states.StoreStarted(receipt={"request_id": number}))
        task = replace(task, phase=Phase.READY)
    assert task.receipt == {
        "request_id": "3",
        "earlier": [{"request_id": "1"}, {"request_id": "2"}],
    }
    assert advanced(task, states.StoreStarted()).receipt == task.receipt


def test_a_voice_that_was_added_completes_its_task() -> None:
    """Its audio is the recording that the voice was made of."""
    done = advanced(in_phase(Phase.READY), states.VoiceAdded(AUDIO))
    assert (done.status, done.audio, done.error) == (Status.COMPLETED, AUDIO, None)


@pytest.mark.parametrize(
    "end",
    [
        states.Stored,
        states.TaskFailed,
        states.DeadlinePassed,
        states.CancelRequested,
    ],
)
def test_every_end_forgets_the_envelope_and_keeps_the_receipt(end: type[states.Event]) -> None:
    """The link may be signed; the receipt holds no secret."""
    storing = replace(in_phase(Phase.STORING), envelope={"url": "u"}, receipt={"request_id": "r"})
    ended = advanced(storing, EVENTS[end]())
    assert (ended.envelope, ended.receipt) == (None, {"request_id": "r"})


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.QUEUED, "accept_deadline_passed"),
        (Phase.SUBMITTING, "finish_deadline_passed"),
        (Phase.SUBMIT_UNKNOWN, "submission_outcome_unknown"),
        (Phase.RUNNING, "finish_deadline_passed"),
        (Phase.READY, "finish_deadline_passed"),
        (Phase.STORING, "finish_deadline_passed"),
    ],
)
def test_a_deadline_says_what_did_not_happen_in_time(phase: Phase, code: str) -> None:
    """Category timeout always; the code tells where it stuck."""
    error = advanced(in_phase(phase), states.DeadlinePassed()).error
    assert error is not None
    assert (error.category, error.code) == (Category.TIMEOUT, code)


def test_a_queued_task_that_ran_out_of_time_says_why_it_was_turned_away() -> None:
    """What the user can do something about; the deadline is the operator's detail."""
    refused = replace(ERROR, detail="no credit", retry_after=5.0)
    error = advanced(queued(error=refused), states.DeadlinePassed()).error
    assert error == replace(refused, detail="no attempt was accepted in time; last: no credit")


@pytest.mark.parametrize("phase", [Phase.SUBMIT_UNKNOWN, Phase.RUNNING, Phase.READY])
def test_any_other_task_that_ran_out_of_time_says_so(phase: Phase) -> None:
    """With the last trouble it had as a detail."""
    error = advanced(replace(in_phase(phase), error=ERROR), states.DeadlinePassed()).error
    assert error is not None
    assert error.category is Category.TIMEOUT
    assert str(error.detail).endswith("; last: broken")


@pytest.mark.parametrize("phase", Phase)
def test_the_deadline_that_counts_follows_from_the_phase(phase: Phase) -> None:
    """Waiting to be accepted ends earlier than waiting to finish; an ended task waits for nothing."""
    task = in_phase(phase)
    if phase in TERMINAL:
        assert states.deadline(task) is None
    elif phase in (Phase.QUEUED, Phase.SUBMIT_UNKNOWN):
        assert states.deadline(task) == task.accept_by
    else:
        assert states.deadline(task) == task.finish_by


def test_a_lease_is_live_until_its_end() -> None:
    """No lease, a live one, an expired one."""
    task = queued(lease_until=LATER)
    assert not states.lease_is_live(queued(), NOW)
    assert states.lease_is_live(task, NOW)
    assert not states.lease_is_live(task, LATER)


def test_a_task_is_due_when_the_time_of_its_next_action_has_come() -> None:
    """A task that is owed nothing never is."""
    assert not states.is_due(queued(next_action_at=LATER), NOW)
    assert states.is_due(queued(next_action_at=LATER), LATER)
    assert not states.is_due(queued(next_action_at=None), LATER)


@given(st.integers(-10_000, 10_000))
def test_a_clock_that_is_set_back_never_makes_a_row_go_back_in_time(seconds: int) -> None:
    """``updated_at`` and ``completed_at`` never precede what the row already says."""
    task = queued()
    after = states.advance(task, states.TaskFailed(ERROR), NOW + timedelta(seconds=seconds))
    assert after.updated_at >= task.updated_at
    assert after.completed_at is not None
    assert after.completed_at >= task.created_at


@pytest.mark.parametrize(
    ("task", "word"),
    [
        (queued(), "provider_queued"),
        (queued(phase=Phase.SUBMITTING), "provider_submitting"),
        (queued(phase=Phase.SUBMITTING, word="provider_synthesizing"), "provider_synthesizing"),
        (queued(phase=Phase.SUBMIT_UNKNOWN), "unknown"),
        (queued(phase=Phase.RUNNING), "provider_synthesizing"),
        (queued(phase=Phase.RUNNING, word="warming up"), "warming up"),
        (queued(phase=Phase.READY), "provider_downloading"),
        (queued(phase=Phase.READY, finalize_attempts=1), "finalizing"),
        (queued(phase=Phase.STORING), "provider_persisting"),
        (queued(phase=Phase.COMPLETED), "completed"),
        (queued(phase=Phase.FAILED), "failed"),
        (queued(phase=Phase.CANCELLED), "cancelled"),
    ],
)
def test_clients_are_shown_the_word_of_the_design(task: Task, word: str) -> None:
    """The table of design section 3."""
    assert states.provider_status(task) == word


def a_generation() -> Generation:
    return Generation("g", "o", "t", "v", "Anna", "Hello", "Auto", NOW)


def test_the_generation_mirrors_its_task() -> None:
    """Status, audio, end and sentence of a failure come from the task, nothing else changes."""
    done = queued(phase=Phase.COMPLETED, audio=AUDIO, completed_at=LATER)
    mirrored = states.reflect(a_generation(), done)
    assert (mirrored.status, mirrored.audio, mirrored.error_message) == (
        Status.COMPLETED,
        AUDIO,
        None,
    )
    assert mirrored.generation_time_seconds == 10
    failed = states.reflect(a_generation(), queued(phase=Phase.FAILED, error=ERROR))
    assert (failed.status, failed.error_message) == (Status.FAILED, "It broke.")


def test_a_passing_trouble_is_not_shown_in_the_history() -> None:
    """An error on a task that is still active is no verdict."""
    mirrored = states.reflect(a_generation(), queued(phase=Phase.READY, error=ERROR))
    assert (mirrored.status, mirrored.error_message) == (Status.PROCESSING, None)
    assert mirrored.generation_time_seconds is None
