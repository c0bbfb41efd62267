"""Tells the effect listeners what they are owed (an outbox's relay): at least once, with a stable key, from
whichever process gets to it first, and again after a while until all know or we give up."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import anyio

from ttsorch.errors import (
    ConfigurationError,
    EffectRefused,
    InternalError,
    ProviderTimeout,
    TtsorchError,
)
from ttsorch.models import Effect, EffectState, Job, Policy, Task
from ttsorch.protocols import EffectListener, TaskStore

logger = logging.getLogger("ttsorch")


class Outbox:
    """The effects of one store, for these listeners. Without any, nothing is written and nobody is told.

    Raises:
        ConfigurationError: two listeners have one name; who was told could not be remembered.
    """

    def __init__(
        self, tasks: TaskStore, listeners: Sequence[EffectListener], policy: Policy
    ) -> None:
        self._tasks = tasks
        self._listeners = {listener.name: listener for listener in listeners}
        if len(self._listeners) < len(listeners):
            raise ConfigurationError(
                "Each effect listener needs a name of its own.",
                code="listener_name_taken",
                field="effects",
            )
        self._policy = policy

    def owed_for(self, before: Task, after: Task) -> Effect | None:
        """What is to be written with the transition from ``before`` to ``after``: an effect if the task
        ends with it."""
        if not self._listeners or before.status.terminal or not after.status.terminal:
            return None
        return Effect(
            key=f"{after.id}.{after.status}",
            owner=after.owner,
            task_id=after.id,
            status=after.status,
            created_at=after.updated_at,
            due_at=after.updated_at,
        )

    async def deliver_due(self) -> int:
        """Tell what is due now, each effect beside the others; how many there were.

        Raises:
            StorageUnavailable: they could not be read. One that could not be written is told again.
        """
        if not self._listeners:
            return 0
        # While they are being told nobody else is to be told the same.
        hold = self._policy.effect_call * len(self._listeners) + self._policy.insist
        due = await self._tasks.claim_effects(limit=self._policy.sweep_batch, hold_seconds=hold)
        async with anyio.create_task_group() as group:
            for effect in due:
                group.start_soon(self._deliver, effect)
        return len(due)

    async def deliver_forever(self) -> None:
        while True:
            try:
                while await self.deliver_due() == self._policy.sweep_batch:
                    pass
            except TtsorchError as error:
                logger.warning("effects: %s (%s)", error.code, error.detail)
            except Exception:
                # A defect in a store must not be the end of all telling.
                logger.exception("effects")
            await anyio.sleep(self._policy.sweep_interval)

    async def _deliver(self, effect: Effect) -> None:
        try:
            job = await self._tasks.get(effect.owner, effect.task_id, include_deleted=True)
            if job is not None:
                await self._tasks.write_effect(self._settled(await self._tell(effect, job)))
        except TtsorchError as error:
            logger.warning("effect %s: %s (%s)", effect.key, error.code, error.detail)

    async def _tell(self, effect: Effect, job: Job) -> Effect:
        """Each listener that doesn't know yet, one after the other; what came of it. A refusal is no reason
        to stop telling the others: as long as one of them may still be told, the effect is owed."""
        told, troubles = effect.told, list[TtsorchError]()
        for listener in self._listeners.values():
            if listener.name in told:
                continue
            trouble = await self._trouble_of(listener, effect, job)
            if trouble is None:
                told += (listener.name,)
            else:
                troubles.append(trouble)
        return replace(
            effect,
            told=told,
            state=_state_after(troubles),
            error=troubles[-1].code if troubles else None,
            attempts=effect.attempts + 1,
        )

    async def _trouble_of(
        self, listener: EffectListener, effect: Effect, job: Job
    ) -> TtsorchError | None:
        """Tell one listener; why it may not know now."""
        try:
            with anyio.fail_after(self._policy.effect_call):
                await listener(effect, job)
        except TtsorchError as error:
            trouble = error
        except TimeoutError:
            trouble = ProviderTimeout(code="effect_timeout", ambiguous=False)
        except Exception:
            logger.exception("effect %s: %s", effect.key, listener.name)
            return InternalError(code="effect_failed")
        else:
            return None
        logger.warning(
            "effect %s: %s: %s (%s)", effect.key, listener.name, trouble.code, trouble.detail
        )
        return trouble

    def _settled(self, effect: Effect) -> Effect:
        waits = self._policy.effect_waits
        if effect.state is not EffectState.OWED:
            return replace(effect, due_at=None)
        if effect.attempts > len(waits):
            logger.error("effect %s: gave up: %s", effect.key, effect.error)
            return replace(effect, state=EffectState.GAVE_UP, due_at=None)
        wait = timedelta(seconds=waits[effect.attempts - 1])
        return replace(effect, due_at=self._tasks.now() + wait)


def _state_after(troubles: Sequence[TtsorchError]) -> EffectState:
    if not troubles:
        return EffectState.DELIVERED
    refused = all(isinstance(trouble, EffectRefused) for trouble in troubles)
    return EffectState.GAVE_UP if refused else EffectState.OWED
