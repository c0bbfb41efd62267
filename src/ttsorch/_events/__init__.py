"""What can happen to a task: each event says what it changes beside the phase.

Which one is legal when, and which phase follows, is in :mod:`ttsorch.states`.
"""

from typing import TypeAlias

from ttsorch._events.debts import AnswerArrived, CancelDeferred, CancelSettled, TicketArrived
from ttsorch._events.ending import NOT_ACCEPTED, CancelRequested, DeadlinePassed, TaskFailed
from ttsorch._events.handing_over import (
    Resubmit,
    SubmitAccepted,
    SubmitDeferred,
    SubmitLost,
    SubmitStarted,
)
from ttsorch._events.storing import (
    ResultLost,
    ResultReady,
    Stored,
    StoreDeferred,
    StoreStarted,
    VoiceAdded,
)
from ttsorch._events.watching import STATUS_ERROR, CheckDeferred, FailureDoubted, ProgressMade

__all__ = [
    "AnswerArrived",
    "CancelDeferred",
    "CancelRequested",
    "CancelSettled",
    "CheckDeferred",
    "DeadlinePassed",
    "Event",
    "FailureDoubted",
    "NOT_ACCEPTED",
    "ProgressMade",
    "Resubmit",
    "ResultLost",
    "ResultReady",
    "STATUS_ERROR",
    "StoreDeferred",
    "StoreStarted",
    "Stored",
    "SubmitAccepted",
    "SubmitDeferred",
    "SubmitLost",
    "SubmitStarted",
    "TaskFailed",
    "TicketArrived",
    "VoiceAdded",
]

Event: TypeAlias = (
    SubmitStarted
    | SubmitDeferred
    | SubmitLost
    | Resubmit
    | SubmitAccepted
    | ProgressMade
    | CheckDeferred
    | FailureDoubted
    | ResultReady
    | StoreStarted
    | StoreDeferred
    | ResultLost
    | Stored
    | VoiceAdded
    | TaskFailed
    | DeadlinePassed
    | CancelRequested
    | TicketArrived
    | AnswerArrived
    | CancelDeferred
    | CancelSettled
)
