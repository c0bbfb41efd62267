"""The one retry policy: for calls that certainly started nothing, and for no others.

An ambiguous failure is never repeated here, since repeating it may pay twice; a refusal is never repeated,
since it will be refused again. Providers and stores hold no policy of their own.
"""

import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import anyio

from ttsorch.errors import ProviderError

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")


class RetryBudget:
    """A token bucket that keeps an outage from being answered with a storm of retries.

    Every first attempt earns ``per_call`` of a retry, every second ``per_second``, and no more than
    ``burst`` are saved up. Share one among the calls to one provider.
    """

    def __init__(
        self,
        *,
        per_call: float = 0.1,
        per_second: float = 3.0,
        burst: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_call = per_call
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._filled_at = clock()

    def earn(self) -> None:
        """Count a first attempt."""
        self._fill(self._per_call)

    def spend(self) -> bool:
        """Take one retry; False when there is none."""
        self._fill(0.0)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, extra: float) -> None:
        now = self._clock()
        earned = extra + (now - self._filled_at) * self._per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._filled_at = now


async def retry_call(
    func: Callable[[], Awaitable[Result]],
    *,
    deadline: float,
    attempts: int = 3,
    base: float = 0.5,
    cap: float = 30.0,
    budget: RetryBudget | None = None,
    before_wait: Callable[[ProviderError], Awaitable[None]] | None = None,
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    chance: Callable[[], float] = random.random,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """What ``func`` returns, or the error of its last attempt.

    Only a call that :func:`may_be_sent_again` is followed by another attempt. The wait is the error's own
    ``retry_after``, exactly; else a random part of ``base`` seconds, doubled with every attempt up to
    ``cap`` (full jitter). A wait that would end after ``deadline`` seconds isn't begun: the error is raised
    at once. Attempts themselves are not interrupted. ``before_wait`` is told the error before each wait.
    """
    from tenacity import AsyncRetrying, retry_if_exception

    ends_at = clock() + deadline

    # tenacity awaits what is a coroutine function by itself; a partial or a lambda is not.
    async def attempt() -> Result:
        return await func()

    def wait(state: "RetryCallState") -> float:
        hint = _retry_after(state)
        return _jittered(state.attempt_number, base, cap, chance) if hint is None else hint

    def stop(state: "RetryCallState") -> bool:
        if state.attempt_number >= attempts or clock() + state.upcoming_sleep >= ends_at:
            return True
        return budget is not None and not budget.spend()

    if budget is not None:
        budget.earn()
    safely, tell = retry_if_exception(may_be_sent_again), _telling(before_wait)
    policy = AsyncRetrying(
        sleep=sleep, stop=stop, wait=wait, retry=safely, before_sleep=tell, reraise=True
    )
    return await policy(attempt)


def _jittered(attempt: int, base: float, cap: float, chance: Callable[[], float]) -> float:
    # The exponent is bounded before the power is taken: floats end at 2 ** 1024.
    return chance() * min(cap, base * 2.0 ** min(attempt - 1, 64))


def may_be_sent_again(error: BaseException) -> bool:
    """Whether the call certainly started nothing, and may have better luck later."""
    if not isinstance(error, ProviderError):
        return False
    return error.retryable and not error.ambiguous and not error.started


def _telling(
    listener: Callable[[ProviderError], Awaitable[None]] | None,
) -> Callable[["RetryCallState"], Awaitable[None]]:
    async def tell(state: "RetryCallState") -> None:
        error = state.outcome.exception() if state.outcome else None
        if listener is not None and isinstance(error, ProviderError):
            await listener(error)

    return tell


def _retry_after(state: "RetryCallState") -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, ProviderError) else None
