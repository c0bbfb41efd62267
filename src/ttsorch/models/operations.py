"""What operators see and do: providers that pause, tasks that don't move, rows that are removed, sweeps."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Pause:
    """Until ``until`` nothing new is sent to ``provider``, by any worker over the store: the vendor asked for
    that, or an operator. ``reason`` is the code of the vendor's answer."""

    provider: str
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class StuckTask:
    """For operators: a task that no step has taken further, ``failures`` times in a row, or whose row can't
    be read. Only what a broken row still tells: ``kind`` and ``phase`` are what it holds, known or not.

    ``reason`` is what it failed with: the name of an exception, ``provider_not_configured`` or
    ``unreadable``. It is tried again at ``next_action_at``.
    """

    id: str
    owner: str
    provider: str
    kind: str
    phase: str
    failures: int
    reason: str
    next_action_at: datetime | None


@dataclass(frozen=True, slots=True)
class Purged:
    """What one call to a store's purge removed, or with ``dry_run`` would have removed.

    ``keys`` are those of the blobs that the removed rows named; other rows may still name them. ``more``: a
    limit was reached, so that another call may find more. ``kept`` counts the owner's tasks that could not
    go, because they are active or owe somebody something; a purge by age leaves such tasks uncounted.
    """

    tasks: int = 0
    generations: int = 0
    voices: int = 0
    effects: int = 0
    keys: tuple[str, ...] = ()
    more: bool = False
    kept: int = 0

    @property
    def rows(self) -> int:
        return self.tasks + self.generations + self.voices + self.effects


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What a purge removed, or in a dry run would have removed.

    ``more``: there may be more to remove now; call again. ``tasks_left`` and ``blobs_left``, of a purge of
    an owner, count what could not go yet: tasks that are active again or owe somebody something, and blobs
    that are too young to be told from those of a call under way; call again later.
    """

    tasks: int = 0
    generations: int = 0
    voices: int = 0
    effects: int = 0
    blobs: int = 0
    more: bool = False
    tasks_left: int = 0
    blobs_left: int = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing left to come back for."""
        return not (self.more or self.tasks_left or self.blobs_left)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did: how many due tasks it took a step further, and how many of those steps failed
    (they stay due); ``told`` effects had listeners to be told."""

    stepped: int
    failed: int
    told: int = 0
