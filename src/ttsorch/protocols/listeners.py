"""Who hears of what becomes of tasks."""

from typing import Protocol

from ttsorch.models import Effect, Job, Transition


class Listener(Protocol):
    """Hears of every transition, after its commit, at most once. What it raises is logged and goes no
    further; what must happen exactly once does not belong here."""

    async def __call__(self, transition: Transition) -> None: ...


class EffectListener(Protocol):
    """Does what must happen once for every task that ends: charges, refunds, notifies. It is told at least
    once, from any process, also after a crash or a restart."""

    @property
    def name(self) -> str:
        """Stable, and different from that of every other listener: who was told is remembered by it."""
        ...

    async def __call__(self, effect: Effect, job: Job) -> None:
        """Do it, unless it was done before for ``effect.key``: a call whose answer was lost is repeated.
        ``job.generation`` is None when its user has deleted it meanwhile.

        Raises:
            EffectRefused: there is no sense in telling this listener again. It may be told all the same
                while another one is still to be told.
            Anything else: it is told again later, until ``policy.effect_waits`` are over.
        """
        ...
