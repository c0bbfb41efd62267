"""What a vendor's "come back later" means for everybody: its provider is paused, for all workers.

The store refuses new tasks and claims while a pause is on. What is here writes pauses, and looks before a
call is repeated that had its claim before.
"""

import logging
from datetime import datetime

import anyio

from ttsorch.errors import ProviderBusy, ProviderError, ProviderUnavailable, StorageUnavailable
from ttsorch.models import Policy
from ttsorch.protocols import TaskStore

logger = logging.getLogger("ttsorch")


class _Paused(ProviderBusy):
    """Told by a row, not by the vendor: no reason for another pause."""


class Pauses:
    """Begins pauses; never longer than ``policy.longest_pause``, so that a vendor's slip stops nobody for
    ever."""

    def __init__(self, tasks: TaskStore, policy: Policy) -> None:
        self._tasks = tasks
        self._policy = policy

    async def begin(self, provider: str, error: ProviderError) -> datetime | None:
        """Pause the provider if ``error``, the answer to a call that costs money, says for how long.

        Returns:
            The end of the pause; None if none was asked for, a longer one is on, or it could not be written:
            then the next one who is turned away tries again.
        """
        seconds = min(error.retry_after or 0.0, self._policy.longest_pause)
        asked = isinstance(error, ProviderUnavailable) and not isinstance(error, _Paused)
        if not asked or not seconds > 0:
            return None
        until = None
        try:
            with anyio.move_on_after(self._policy.commit, shield=True):
                until = await self._tasks.pause_provider(
                    provider, seconds=seconds, reason=error.code
                )
        except StorageUnavailable as trouble:
            logger.warning("%s could not be paused: %s", provider, trouble.detail)
        if until is not None:
            logger.warning(
                "%s is paused for %.0f s: %s (%s)", provider, seconds, error.code, error.detail
            )
        return until

    async def check(self, provider: str, ours: datetime | None) -> None:
        """Look before a call is repeated after a wait of its own. ``ours`` is the end of the pause that was
        just waited for, if that was the longest.

        Raises:
            ProviderBusy: another pause is on, or nobody can tell.
        """
        try:
            pauses = await self._tasks.list_pauses()
        except StorageUnavailable as trouble:
            raise _Paused(detail=f"are there pauses? {trouble.detail}") from trouble
        for pause in pauses:
            if pause.provider == provider and pause.until != ours:
                left = (pause.until - self._tasks.now()).total_seconds()
                raise _Paused(retry_after=max(0.0, left), detail="paused for all workers")
