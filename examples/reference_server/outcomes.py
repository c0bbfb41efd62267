"""A line in the log for what a user's answer doesn't explain to the operator: a task that failed, that is to
be tried again, or of which nobody knows whether the provider took it (and so, whether it is paid)."""

import logging

from ttsorch.models import Phase, Transition

logger = logging.getLogger("reference_server.tasks")

_BECAME = {
    Phase.FAILED: "failed",
    Phase.QUEUED: "will be tried again",
    Phase.SUBMIT_UNKNOWN: "nobody knows yet whether it was accepted",
}


async def log_trouble(transition: Transition) -> None:
    """A listener. ``detail`` is the operator's: the vendor's words, without URLs and keys."""
    task, became = transition.job.task, _BECAME.get(transition.job.task.phase)
    if became is None or task.error is None or transition.before is task.phase:
        return
    logger.warning(
        "task %s (%s): %s: %s (%s)",
        task.id,
        task.provider,
        became,
        task.error.code,
        task.error.detail,
    )
