"""``ttsorch sweep``: the tick that no server process gives."""

from collections.abc import Callable, Sequence

import anyio

from ttsorch.cli.reports import complain
from ttsorch.cli.stopping import Stoppable, Stopped
from ttsorch.config import Config, open_orchestrator
from ttsorch.errors import StorageUnavailable
from ttsorch.models import StuckTask, SweepReport
from ttsorch.orchestrator import Orchestrator

Show = Callable[[SweepReport, Sequence[StuckTask]], None]


async def sweep(config: Config, every: float | None, show: Show) -> SweepReport:
    """Sweep once; or with ``every`` over and over, so many seconds apart, until a signal comes. Calls to
    providers that have begun then get the orchestrator's time to land.

    Raises:
        StorageUnavailable: the one sweep could not read its tasks.
        Stopped: by a signal.
    """
    async with open_orchestrator(config, background=False) as orchestrator:
        with Stoppable() as signals:
            while every is not None:
                await _sweep_and_go_on(orchestrator, show)
                await anyio.sleep(every)
            report = await orchestrator.sweep_once()
            show(report, await orchestrator.list_stuck())
            return report
    raise Stopped(signals.number)


async def _sweep_and_go_on(orchestrator: Orchestrator, show: Show) -> None:
    """A database that can't answer is complained about and asked again: it may come back."""
    try:
        report = await orchestrator.sweep_once()
        show(report, await orchestrator.list_stuck())
    except StorageUnavailable as error:
        complain(error.message)
