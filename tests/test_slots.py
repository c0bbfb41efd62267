"""Slots are shared in turns: nobody's queue holds up another owner."""

import asyncio
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from ttsorch._slots import FairSlots

pytestmark = pytest.mark.anyio


async def _order(slots: FairSlots, owners: Sequence[str]) -> list[str]:
    """Who gets a slot in which order, when they came as listed and each holds it for a moment."""
    served: list[str] = []

    async def take(owner: str) -> None:
        async with slots.slot(owner):
            served.append(owner)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group, slots.slot("first"):
        for owner in owners:
            group.start_soon(take, owner)
            await anyio.wait_all_tasks_blocked()
    return served


async def test_owners_take_turns() -> None:
    """A long queue of one owner costs another one turn, not the whole queue."""
    assert await _order(FairSlots(1), "aaaabbc") == list("abcabaa")


async def test_one_owner_is_served_in_order() -> None:
    """And a slot that nobody waits for is free again."""
    slots = FairSlots(1)
    assert await _order(slots, "aa") == list("aa")
    async with slots.slot("b"):
        pass


async def test_no_more_than_so_many_hold_one() -> None:
    """At any moment, however many come."""
    slots, now, most = FairSlots(3), 0, 0

    async def take(owner: str) -> None:
        nonlocal now, most
        async with slots.slot(owner):
            now += 1
            most = max(most, now)
            await anyio.lowlevel.checkpoint()
            now -= 1

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(take, str(number % 7))
    assert (now, most) == (0, 3)


@pytest.mark.parametrize("also_granted", [False, True])
async def test_who_is_cancelled_passes_the_slot_on(also_granted: bool) -> None:
    """Whether it waited still, or was being served in that moment."""
    slots = FairSlots(1)
    served = anyio.Event()

    async def give_up(scope: anyio.CancelScope) -> None:
        with scope:
            async with slots.slot("a"):
                await anyio.sleep_forever()

    async def wait() -> None:
        async with slots.slot("b"):
            served.set()

    scope = anyio.CancelScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            async with slots.slot("first"):
                group.start_soon(give_up, scope)
                await anyio.wait_all_tasks_blocked()
                group.start_soon(wait)
                await anyio.wait_all_tasks_blocked()
                if not also_granted:
                    scope.cancel()
                    await anyio.wait_all_tasks_blocked()
            if also_granted:
                scope.cancel()
            await served.wait()
        async with slots.slot("c"):
            pass


async def test_who_is_cancelled_leaves_the_owners_others_in_line() -> None:
    """One of an owner's jobs is given up, the next one of the same owner is served in its place."""
    slots = FairSlots(1)
    served: list[str] = []

    async def take(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            async with slots.slot("a"):
                served.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group, slots.slot("first"):
            given_up = anyio.CancelScope()
            for name, scope in (("given up", given_up), ("next", anyio.CancelScope())):
                group.start_soon(take, name, scope)
                await anyio.wait_all_tasks_blocked()
            given_up.cancel()
            await anyio.wait_all_tasks_blocked()
    assert served == ["next"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_while_it_is_served_passes_the_slot_on() -> None:
    """A server cancels tasks of asyncio without regard to what they have just been given."""
    slots = FairSlots(1)

    async def hold() -> None:
        async with slots.slot("a"):
            await anyio.sleep_forever()

    async with slots.slot("first"):
        waiting = asyncio.ensure_future(hold())
        await anyio.wait_all_tasks_blocked()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with anyio.fail_after(5):
        async with slots.slot("b"):
            pass


async def test_who_is_cancelled_already_takes_none() -> None:
    """Not even a free one."""
    slots = FairSlots(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with slots.slot("a"):
            raise AssertionError("it was cancelled")
    async with slots.slot("b"):
        pass
