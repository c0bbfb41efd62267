"""What a host owes the world when a task ends."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ttsorch.models.phases import Status


class EffectState(StrEnum):
    """How far an effect has come."""

    OWED = "owed"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a host owes the world because a task ended (to charge, to refund, to notify): written with the
    transition that ended it, in the same transaction, and told to every
    :class:`~ttsorch.protocols.EffectListener` at least once.

    ``key`` is the same every time: what a listener remembers, so as to do its work once. ``told`` are the
    names of those who know it already; ``due_at`` is when the others are told next, None when that is over.
    ``error`` is the code of the last trouble.
    """

    key: str
    owner: str
    task_id: str
    status: Status
    created_at: datetime
    due_at: datetime | None
    state: EffectState = EffectState.OWED
    attempts: int = 0
    told: tuple[str, ...] = ()
    error: str | None = None
