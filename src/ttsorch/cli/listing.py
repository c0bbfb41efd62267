"""What ``ttsorch tasks`` lists."""

from collections.abc import Sequence

from ttsorch.config import Config, open_orchestrator
from ttsorch.models import Job, StuckTask


async def newest_tasks(config: Config, owner: str, active: bool, limit: int) -> Sequence[Job]:
    async with open_orchestrator(config, background=False) as orchestrator:
        return await orchestrator.list_tasks(owner=owner, active=active or None, limit=limit)


async def unknown_tasks(config: Config, limit: int) -> Sequence[Job]:
    async with open_orchestrator(config, background=False) as orchestrator:
        return await orchestrator.list_unknown(limit=limit)


async def stuck_tasks(config: Config, limit: int) -> Sequence[StuckTask]:
    async with open_orchestrator(config, background=False) as orchestrator:
        return await orchestrator.list_stuck(limit=limit)
