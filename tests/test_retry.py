"""The one retry policy: what is tried again, when, and for how long."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from ttsorch._retry import RetryBudget, retry_call
from ttsorch.errors import (
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    ValidationError,
)

pytestmark = pytest.mark.anyio


class _World:
    """A clock that only sleeping moves, and chance that always falls on its upper end."""

    def __init__(self, chance: float = 1.0) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._chance = chance

    def clock(self) -> float:
        return self.now

    def chance(self) -> float:
        return self._chance

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.slept.append(seconds)
        self.now += seconds


class _Calls:
    """A call that fails with each error in turn and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0

    async def __call__(self) -> str:
        self.count += 1
        await anyio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.pop(0)
        return "accepted"


def _not_sent(retry_after: float | None = None) -> ProviderUnavailable:
    return ProviderUnavailable(retry_after=retry_after)


async def _retry(
    call: Callable[[], Awaitable[str]],
    world: _World,
    *,
    deadline: float = 1000.0,
    attempts: int = 3,
    budget: RetryBudget | None = None,
) -> str:
    return await retry_call(
        call,
        deadline=deadline,
        attempts=attempts,
        budget=budget,
        sleep=world.sleep,
        chance=world.chance,
        clock=world.clock,
    )


async def test_a_call_that_succeeds_is_made_once() -> None:
    """No sleep, no second call."""
    world, call = _World(), _Calls()
    assert await _retry(call, world) == "accepted"
    assert (call.count, world.slept) == (1, [])


async def test_what_was_not_sent_is_tried_again() -> None:
    """Retryable and not ambiguous: up to the number of attempts, with growing waits."""
    world, call = _World(), _Calls(_not_sent(), _not_sent())
    assert await _retry(call, world) == "accepted"
    assert (call.count, world.slept) == (3, [0.5, 1.0])


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailable(ambiguous=True),
        ProviderTimeout(ambiguous=True),
        ProviderTimeout(),
        ProviderUnavailable(retryable=False),
        ProviderRejected(),
        ProviderError(),
        ValidationError("no"),
        OSError(),
        RuntimeError(),
    ],
)
async def test_everything_else_is_not_tried_again(error: Exception) -> None:
    """Ambiguous, refused or not a provider's error: the very same error, after one call."""
    world, call = _World(), _Calls(error)
    with pytest.raises(type(error)) as caught:
        await _retry(call, world)
    assert caught.value is error
    assert (call.count, world.slept) == (1, [])


async def test_an_ambiguous_failure_ends_the_retries() -> None:
    """A second attempt that may have been received is the last one."""
    lost = ProviderTimeout(ambiguous=True)
    call = _Calls(_not_sent(), lost)
    with pytest.raises(ProviderTimeout) as caught:
        await _retry(call, _World())
    assert caught.value is lost
    assert call.count == 2


async def test_the_last_error_is_raised_when_attempts_run_out() -> None:
    """Not the first one, and no wrapper around it."""
    errors = [_not_sent() for _ in range(3)]
    with pytest.raises(ProviderUnavailable) as caught:
        await _retry(_Calls(*errors), _World())
    assert caught.value is errors[2]


async def test_one_attempt_is_one_call() -> None:
    """For providers whose waiting is done elsewhere."""
    world, call = _World(), _Calls(_not_sent())
    with pytest.raises(ProviderUnavailable):
        await _retry(call, world, attempts=1)
    assert (call.count, world.slept) == (1, [])


async def test_waits_are_jittered_doubled_and_capped() -> None:
    """A random part of 0.5, 1, 2 ... seconds, of 30 at most, however many attempts there are."""
    world, call = _World(chance=0.5), _Calls(*[_not_sent() for _ in range(2000)])
    assert await _retry(call, world, deadline=1e9, attempts=3000) == "accepted"
    assert world.slept[:8] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert set(world.slept[8:]) == {15.0}


async def test_a_retry_after_is_kept_exactly() -> None:
    """The server's word replaces our own wait, without jitter and beyond our cap; zero means now."""
    world, call = _World(chance=0.5), _Calls(_not_sent(45.0), _not_sent(0.0))
    assert await _retry(call, world) == "accepted"
    assert world.slept == [45.0, 0.0]


@pytest.mark.parametrize("wait", [10.0, 60.0])
async def test_a_wait_that_would_outlast_the_deadline_is_not_begun(wait: float) -> None:
    """When the server asks for more time than is left, its error is raised at once."""
    world, call = _World(), _Calls(_not_sent(wait))
    with pytest.raises(ProviderUnavailable):
        await _retry(call, world, deadline=10.0)
    assert (call.count, world.slept) == (1, [])


async def test_the_deadline_is_a_total() -> None:
    """Time that attempts and waits took is gone."""
    world, call = _World(), _Calls(_not_sent(4.0), _not_sent(4.0), _not_sent(4.0))
    with pytest.raises(ProviderUnavailable):
        await _retry(call, world, deadline=10.0, attempts=9)
    assert world.slept == [4.0, 4.0]


async def test_cancellation_during_a_wait_is_not_swallowed() -> None:
    """A cancelled caller makes no further call."""
    call = _Calls(_not_sent(30.0))
    with anyio.move_on_after(0.02) as scope:
        await retry_call(call, deadline=60)
    assert scope.cancelled_caught
    assert call.count == 1


async def test_a_function_that_only_returns_an_awaitable_is_awaited() -> None:
    """A lambda or a partial is as good as a coroutine function."""
    call = _Calls(_not_sent())
    assert await _retry(lambda: call(), _World()) == "accepted"


# --- the budget ---------------------------------------------------------------------------------------


async def test_an_empty_budget_ends_the_retries() -> None:
    """Two saved-up retries are shared by all calls; after that, a failure is final."""
    world = _World()
    budget = RetryBudget(per_call=0, per_second=0, burst=2, clock=world.clock)
    calls = [_Calls(*[_not_sent() for _ in range(9)]) for _ in range(2)]
    for call in calls:
        with pytest.raises(ProviderUnavailable):
            await _retry(call, world, budget=budget)
    assert [call.count for call in calls] == [3, 1]


async def test_first_attempts_earn_retries() -> None:
    """Ten calls at a tenth of a retry each pay for one."""
    world = _World()
    budget = RetryBudget(per_call=0.1, per_second=0, burst=1.001, clock=world.clock)
    assert budget.spend()
    for _ in range(11):
        await _retry(_Calls(), world, budget=budget)
    assert budget.spend()
    assert not budget.spend()


def test_time_earns_retries_up_to_the_burst() -> None:
    """Three a second, and no more than the burst after a quiet night."""
    world = _World()
    budget = RetryBudget(per_second=3.0, burst=5.0, clock=world.clock)
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]
    world.now += 1.0
    assert [budget.spend() for _ in range(4)] == [True] * 3 + [False]
    world.now += 3600.0
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]
