"""The work of ``ttsorch purge``: page after page, until a signal comes or nothing more is to be done now."""

from dataclasses import dataclass, replace

from ttsorch.cli.stopping import Stoppable, Stopped
from ttsorch.config import Config, open_orchestrator
from ttsorch.models import PurgeReport
from ttsorch.orchestrator import Orchestrator

#: What a dry run counts up to.
_MOST_COUNTED = 10_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Purging:
    """Either ``older_than``, in seconds, or ``owner`` is set."""

    older_than: float | None
    audio: bool
    owner: str | None
    abandon_owed: bool
    dry_run: bool

    async def run(self, config: Config) -> PurgeReport:
        """
        Raises:
            ValidationError: nothing was removed.
            StorageUnavailable: what was removed until then is gone.
            Stopped: by a signal, between two pages or in one; it can be run again.
        """
        async with open_orchestrator(config, background=False) as orchestrator:
            with Stoppable() as signals:
                return await self._purge(orchestrator)
        raise Stopped(signals.number)

    async def _purge(self, tts: Orchestrator) -> PurgeReport:
        limit = _MOST_COUNTED if self.dry_run else _PAGE
        if self.owner is not None:
            return await tts.purge_owner(
                self.owner, limit=limit, abandon_owed=self.abandon_owed, dry_run=self.dry_run
            )
        total = PurgeReport(more=True)
        while total.more:
            page = await tts.purge(
                older_than=self.older_than or 0.0,
                limit=limit,
                audio=self.audio,
                dry_run=self.dry_run,
            )
            total = _sum(total, page)
            if self.dry_run:
                break
        return total


def _sum(total: PurgeReport, page: PurgeReport) -> PurgeReport:
    return replace(
        page,
        tasks=total.tasks + page.tasks,
        generations=total.generations + page.generations,
        effects=total.effects + page.effects,
        blobs=total.blobs + page.blobs,
    )
