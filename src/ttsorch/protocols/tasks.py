"""What keeps the rows of tasks, generations, effects and pauses."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ttsorch.models import (
    NO_LIMITS,
    Effect,
    EffectState,
    Generation,
    Job,
    Limits,
    Page,
    Pause,
    Purged,
    Status,
    StuckTask,
    Task,
    TaskKind,
)


class TaskStore(Protocol):
    """Tasks and generations: rows, compare-and-set, leases. Which transition is legal, it doesn't know.

    The owner is in the condition of every read and write that takes one, so that another owner's row
    looks exactly like a missing one. A task and its generation are written in one transaction, always.
    Every method can be run again with the same arguments after its answer was lost.

    A row that this version can't read (it is damaged, or a newer version wrote it) hides no other: listings
    leave it out, without a shorter page; whoever asks for it by its id or key is told by
    :class:`~ttsorch.errors.RowUnreadable`; its id is logged. Once :meth:`claim_due` has put it aside, it
    counts no more against limits of what is active.
    """

    def now(self) -> datetime:
        """The database's clock, without asking it again: timezone-aware, in UTC."""
        ...

    async def create(
        self,
        task: Task,
        generation: Generation | None,
        *,
        lease_seconds: float | None = None,
        limits: Limits = NO_LIMITS,
    ) -> Job:
        """Insert both rows, or none.

        When this owner already has a task with the same ``idempotency_key`` (deleted ones count), that
        earlier job is returned as it is now, and nothing is written. With ``lease_seconds`` the row is
        born under a lease, as :meth:`claim` would give it.

        Raises:
            ActiveJobLimit, SubmitRateLimit, ProviderBusy: ``limits`` would be passed, looked at in this
                order; counted and inserted in one transaction, by the database's clock.
            ProviderBusy: the task has not ended, and its provider is paused; ``retry_after`` says for how
                long. Looked at in the same transaction, before the limit of what is in flight.
        """
        ...

    async def get(self, owner: str, task_id: str, *, include_deleted: bool = False) -> Job | None:
        """The job, unless it is missing, another owner's, or deleted and ``include_deleted`` is not
        set."""
        ...

    async def find_by_key(self, owner: str, idempotency_key: str) -> Job | None:
        """The job that :meth:`create` would return for this key instead of making one (deleted ones
        count), or None."""
        ...

    async def record_poll(self, owner: str, task_id: str) -> Job | None:
        """Like :meth:`get`, and atomically adds one to ``poll_count`` if the task is not terminal."""
        ...

    async def replace(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        effect: Effect | None = None,
    ) -> bool:
        """Compare-and-set: write both rows if the stored version is ``expected_version``, and with them
        ``effect``, unless there is one with its key.

        Never touches ``poll_count``, ``fence`` or ``deleted_at``: those are the store's own. A
        generation that was deleted meanwhile stays deleted. False means that somebody else was first
        and nothing was written.
        """
        ...

    async def claim(
        self,
        task: Task,
        generation: Generation | None,
        *,
        expected_version: int,
        lease_seconds: float,
        sends: bool = False,
    ) -> Task | None:
        """:meth:`replace`, and take the lease in the same statement: only if no lease is live on the
        database's clock; and with ``sends``, only if the task's provider isn't paused.

        Returns the task as stored: ``fence`` one higher than ever before, ``lease_until`` and
        ``next_action_at`` set to the end of the lease. None: nothing was written.
        """
        ...

    async def renew(self, task_id: str, *, fence: int, lease_seconds: float) -> bool:
        """Push the end of the lease to ``lease_seconds`` from now, if ``fence`` still is the row's and
        its lease has not been released. ``version`` stays as it is."""
        ...

    async def claim_due(self, *, limit: int, hold_seconds: float) -> Sequence[Job]:
        """Up to ``limit`` jobs whose ``next_action_at`` has passed, deleted ones included. Owners take
        turns: nobody's second job comes before everybody's first. Of one owner's jobs, and of one turn,
        those whose result expires soonest come first, then the earliest. Each one's ``next_action_at`` is
        pushed ``hold_seconds`` on in the same transaction, so that no two callers get the same job at
        once. This hands out work, not a lease.

        A queued task whose provider is paused is not handed out, unless its deadline has passed: it is put
        off to the end of the pause and up to three seconds more, for each task others, but not beyond its
        deadline (the earlier of ``accept_by`` and ``finish_by``). A row that can't be read is put aside as by
        :meth:`put_aside`, for 600 seconds at most, and logged. Neither takes the place of another task, as
        far as a few more looks can help it."""
        ...

    async def list_tasks(
        self,
        owner: str,
        *,
        active: bool | None = None,
        kind: TaskKind | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 20,
    ) -> Sequence[Job]:
        """The owner's tasks, newest first, deleted ones left out. ``before`` is the ``created_at`` and
        ``id`` of the last one already seen."""
        ...

    async def list_unknown(self, *, limit: int = 100) -> Sequence[Job]:
        """For operators, over all owners: tasks whose submit was never answered (``outcome_open``, and
        nobody holds a lease), oldest first. Each may be an accepted job that nobody follows."""
        ...

    async def delete_task(self, owner: str, task_id: str) -> bool:
        """Hide a task from its owner. The row stays, for its idempotency key and what is still owed.
        False if there was none to hide."""
        ...

    async def claim_effects(self, *, limit: int, hold_seconds: float) -> Sequence[Effect]:
        """Up to ``limit`` effects whose ``due_at`` has passed, earliest first. Each one's ``due_at`` is
        pushed ``hold_seconds`` on in the same transaction, so that no two callers get the same one at
        once. One that can't be read is pushed on by 600 seconds instead, and logged."""
        ...

    async def write_effect(self, effect: Effect) -> bool:
        """Write over the effect with this key, if the stored one has one attempt less. False means that
        somebody else was first, or that there is none any more."""
        ...

    async def list_effects(self, state: EffectState, *, limit: int = 100) -> Sequence[Effect]:
        """For operators, over all owners: the effects in ``state``, oldest first."""
        ...

    async def pause_provider(
        self, provider: str, *, seconds: float, reason: str
    ) -> datetime | None:
        """Let nothing new be sent to ``provider`` for so many seconds from now, on the database's clock.

        A pause is only ever made longer: None, and nothing is written, where one is on that lasts as long or
        longer. Otherwise the end of the pause.
        """
        ...

    async def end_pause(self, provider: str) -> bool:
        """End the pause before its time. What it has put off is due when that was to be. False if there was
        none."""
        ...

    async def list_pauses(self) -> Sequence[Pause]:
        """The pauses that are on now, by the provider's name."""
        ...

    async def put_aside(
        self,
        task_id: str,
        *,
        expected_version: int,
        reason: str,
        hold_seconds: float,
        most_seconds: float,
    ) -> bool:
        """Count a step that failed in a way that nobody foresaw, and push ``next_action_at`` on:
        ``hold_seconds`` from now after the first, twice as long after each further one, ``most_seconds`` at
        most; but not beyond the task's deadline (``finish_by``; in the phases ``queued`` and
        ``submit_unknown`` the earlier of that and ``accept_by``), while that is still to come.

        ``version`` stays as it is. The count begins anew with every :meth:`replace` and :meth:`claim`. False
        means that the row has another version by now, or owes nothing, and nothing was written.
        """
        ...

    async def list_stuck(self, *, limit: int = 100) -> Sequence[StuckTask]:
        """For operators, over all owners: what :meth:`put_aside` has counted for, most failures first, then
        by id. Never fails for what a row holds."""
        ...

    async def get_generation(self, owner: str, generation_id: str) -> Generation | None: ...

    async def list_generations(
        self,
        owner: str,
        *,
        page: int = 1,
        per_page: int = 20,
        search: str = "",
        status: tuple[Status, ...] = (),
    ) -> Page[Generation]:
        """The owner's history, newest first; those in any ``status`` named, or all when none is.
        ``search`` matches a substring of the text, by Unicode case folding; ``%`` and ``_`` mean
        themselves."""
        ...

    async def delete_generation(self, owner: str, generation_id: str) -> bool:
        """Remove the generation's row for good. Its task stays. False if there was none."""
        ...

    async def unreferenced(self, keys: Sequence[str]) -> Sequence[str]:
        """Those of ``keys`` that no generation, no voice, no task without a generation, and no clone that
        is unfinished or has made its voice, names."""
        ...

    async def purge_ended(
        self, *, older_than: float, limit: int, audio: bool = False, dry_run: bool = False
    ) -> Purged:
        """For operators, over all owners: remove rows for good that have been of no use for ``older_than``
        seconds on the database's clock, hidden ones included, oldest first. In one transaction, up to
        ``limit`` of each:

        * speech tasks that ended before then;
        * voice tasks (clones, previews) that ended before then. A clone only if its voice's row is there:
          until then the task is what keeps the voice from being paid for twice. A preview that has audio only
          if its voice was saved, or with ``audio``: until then it can be saved;
        * effects that were settled, of tasks that ended before then;
        * with ``audio``, the generations that ended before then. Without it, none, and no blob is left
          unnamed.

        A task stays while its provider is owed a cancel or a listener its effect, and so does its
        generation. No active task is ever touched. ``keys`` are those of the generations, and with ``audio``
        those of the previews. With ``dry_run`` nothing is removed. Two callers at once never disturb each
        other.
        """
        ...

    async def purge_owned(
        self, owner: str, *, limit: int, abandon_owed: bool = False, dry_run: bool = False
    ) -> Purged:
        """Remove what this owner has, for good. In one transaction, up to ``limit`` of each: voices, hidden
        ones included; tasks that have ended; generations whose task has ended or is gone; effects that were
        settled or whose task is gone.

        An active task stays with all that is its own. An ended one stays, hidden from its owner, while its
        provider is owed a cancel or a listener its effect, unless ``abandon_owed``; its generation goes.
        ``keys`` are those of the voices, the generations, and the tasks. With ``dry_run`` nothing is removed
        or hidden. Idempotency keys go with their tasks.
        """
        ...

    async def list_unsettled(
        self, owner: str, *, after: str = "", limit: int = 20
    ) -> Sequence[Job]:
        """The owner's tasks that are active or whose provider is owed a cancel, hidden ones included, in the
        order of their ids, which are greater than ``after``."""
        ...

    async def aclose(self) -> None:
        """Finish what is being written, then close what this store opened. Harmless when repeated."""
        ...
