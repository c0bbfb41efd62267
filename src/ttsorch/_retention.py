"""Taking out for good what is old, what an owner had, and blobs that no row names.

Rows go before the blobs that they name, and a blob only goes once no row names it: at no moment does a row
point to nothing. What a crash leaves in between is a blob that nobody names, which the next
:meth:`Retention.purge_owner`, or the collection of orphans, removes.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

import anyio

from ttsorch._keys import is_speech_of_a_lease, is_upload, owner_prefix
from ttsorch._outbox import Outbox
from ttsorch.capabilities import check_owner
from ttsorch.errors import TtsorchError, ValidationError
from ttsorch.models import BlobInfo, Job, Policy, Purged, PurgeReport
from ttsorch.protocols import BlobStore, TaskStore

logger = logging.getLogger("ttsorch")

#: Far beyond what anybody keeps, and within what every clock can subtract.
_LONGEST_SECONDS = 100 * 366 * 24 * 3600.0


class Retention:
    """The purges of one store and its blobs. ``end`` ends an active job, and tells the provider of one that
    has ended what it is owed."""

    def __init__(
        self,
        *,
        tasks: TaskStore,
        blobs: BlobStore,
        outbox: Outbox,
        policy: Policy,
        end: Callable[[Job], Awaitable[Job]],
    ) -> None:
        self._tasks = tasks
        self._blobs = blobs
        self._outbox = outbox
        self._policy = policy
        self._end = end

    async def purge(
        self, *, older_than: float, limit: int, audio: bool, dry_run: bool
    ) -> PurgeReport:
        _check_limit(limit)
        if not 0 <= older_than <= _LONGEST_SECONDS:
            raise ValidationError(
                "The age must be a number of seconds, and not more than a hundred years.",
                code="age_invalid",
                field="older_than",
            )
        purged = await self._tasks.purge_ended(
            older_than=older_than, limit=limit, audio=audio, dry_run=dry_run
        )
        blobs = len(purged.keys) if dry_run else await self._erase(purged.keys)
        return _report(purged, blobs)

    async def purge_owner(
        self, owner: str, *, limit: int, abandon_owed: bool, dry_run: bool
    ) -> PurgeReport:
        check_owner(owner)
        _check_limit(limit)
        if dry_run:
            purged = await self._tasks.purge_owned(
                owner, limit=limit, abandon_owed=abandon_owed, dry_run=True
            )
            return _report(purged, len(await self._blobs_of(owner)))
        await self._end_all(owner)
        # Of what has just ended somebody may have to be told before its row can go.
        await self._outbox.deliver_due()
        purged, named = await self._remove_rows(owner, limit, abandon_owed)
        unnamed, left = await self._collect(owner)
        return _report(purged, named + unnamed, left)

    async def collect_orphans(self, *, dry_run: bool) -> Sequence[str]:
        orphans: list[str] = []
        batch: list[str] = []
        oldest = self._tasks.now() - timedelta(seconds=self._policy.orphan_grace)
        async for blob in self._blobs.list(""):
            if blob.modified_at <= oldest:
                batch.append(blob.key)
            if len(batch) == self._policy.sweep_batch:
                orphans += await self._tasks.unreferenced(batch)
                batch = []
        orphans += await self._tasks.unreferenced(batch)
        for key in () if dry_run else orphans:
            await self._blobs.delete(key)
        return orphans

    async def _end_all(self, owner: str) -> None:
        """Each that is active once, and each whose provider is still owed a cancel."""
        batch, last = self._policy.sweep_batch, ""
        while jobs := await self._tasks.list_unsettled(owner, after=last, limit=batch):
            async with anyio.create_task_group() as group:
                for job in jobs:
                    group.start_soon(self._end_one, job)
            last = jobs[-1].task.id

    async def _end_one(self, job: Job) -> None:
        try:
            await self._end(job)
        except TtsorchError as error:
            # It is left over, and counted.
            logger.warning("purge: task %s: %s (%s)", job.task.id, error.code, error.detail)

    async def _remove_rows(self, owner: str, limit: int, abandon_owed: bool) -> tuple[Purged, int]:
        """Page after page, until there was nothing to remove; and how many blobs went with them."""
        total, blobs = Purged(), 0
        while True:
            page = await self._tasks.purge_owned(owner, limit=limit, abandon_owed=abandon_owed)
            blobs += await self._erase(page.keys)
            total = Purged(
                tasks=total.tasks + page.tasks,
                generations=total.generations + page.generations,
                voices=total.voices + page.voices,
                effects=total.effects + page.effects,
                kept=page.kept,
            )
            if not page.rows:
                return total, blobs

    async def _erase(self, keys: Iterable[str]) -> int:
        """Remove the blobs that no row names any more; how many those were."""
        unnamed = await self._unnamed(keys)
        for key in unnamed:
            await self._blobs.delete(key)
        return len(unnamed)

    async def _unnamed(self, keys: Iterable[str]) -> list[str]:
        waiting, unnamed = list(keys), list[str]()
        while waiting:
            batch, waiting = (
                waiting[: self._policy.sweep_batch],
                waiting[self._policy.sweep_batch :],
            )
            unnamed += await self._tasks.unreferenced(batch)
        return unnamed

    async def _collect(self, owner: str) -> tuple[int, int]:
        """Remove what else is below the owner's prefix and named by no row; how many went, and how many
        are too young for that."""
        found = {blob.key: blob for blob in await self._blobs_of(owner)}
        # In this order: what was found was written before this, by a task that has ended or is found here.
        quiet = not (
            await self._tasks.list_unsettled(owner, limit=1) or await self._any_left(owner)
        )
        unnamed = await self._unnamed(found)
        free = [key for key in unnamed if self._is_free(found[key], quiet)]
        for key in free:
            await self._blobs.delete(key)
        return len(free), len(unnamed) - len(free)

    async def _any_left(self, owner: str) -> bool:
        """Whether tasks are active. One that can't be read is in no listing, but is counted: a newer version
        may be at it."""
        left = await self._tasks.purge_owned(owner, limit=1, abandon_owed=True, dry_run=True)
        return left.kept > 0

    def _is_free(self, blob: BlobInfo, quiet: bool) -> bool:
        """Whether nobody can be about to name the blob. An upload is read, never named; speech belongs to a
        task; the copy of a recording is older than the row that will name it."""
        if is_upload(blob.key) or (quiet and is_speech_of_a_lease(blob.key)):
            return True
        grace = timedelta(seconds=self._policy.orphan_grace)
        return blob.modified_at <= self._tasks.now() - grace

    async def _blobs_of(self, owner: str) -> list[BlobInfo]:
        return [blob async for blob in self._blobs.list(f"{owner_prefix(owner)}/")]


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValidationError(
            "The limit must be at least 1.", code="limit_invalid", field="limit", limit=1
        )


def _report(purged: Purged, blobs: int, blobs_left: int = 0) -> PurgeReport:
    return PurgeReport(
        tasks=purged.tasks,
        generations=purged.generations,
        voices=purged.voices,
        effects=purged.effects,
        blobs=blobs,
        more=purged.more,
        tasks_left=purged.kept,
        blobs_left=blobs_left,
    )
