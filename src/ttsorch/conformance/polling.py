"""Asking until a task has ended, with an eye on what may never happen on the way (contract 4.1 and 4.5)."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import anyio

from ttsorch.conformance.client import Answer
from ttsorch.conformance.matching import at_path, mismatches
from ttsorch.conformance.schema import Poll
from ttsorch.conformance.verdicts import Excerpt, Finding

_RANKS: Mapping[str, int] = {"pending": 0, "processing": 1}
_TERMINAL = frozenset({"completed", "failed", "cancelled"})
_TERMINAL_RANK = 2
#: In seconds; then twice as long each time, up to the longest pause.
_FIRST_PAUSE = 0.1
#: 4.1 counts the polls of *job* tasks, and 4.7 says that this one's are none.
_DIRECT = "qwen"


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds: how long a job may take in all, and the longest pause between two polls."""

    patience: float
    longest_pause: float


@dataclass(frozen=True, slots=True)
class Polled:
    """The last answer, and what was wrong with it or on the way to it."""

    answer: Answer
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one poll showed."""

    status: object
    count: object = None

    @property
    def active(self) -> bool:
        return self.status in _RANKS


async def poll_until(
    poll: Poll,
    pace: Pace,
    values: Mapping[str, object],
    *,
    ask: Callable[[], Awaitable[Answer]],
    judge: Callable[[Answer], Sequence[Finding]],
) -> Polled:
    """Ask until the status is one of ``poll.until``, or something is wrong, or patience ends."""
    before = _Seen(poll.after, poll.counted)
    pause = min(_FIRST_PAUSE, pace.longest_pause)
    give_up_at = anyio.current_time() + pace.patience
    while True:
        answer = await ask()
        findings = list(judge(answer))
        if _wrong(findings):
            return Polled(answer, findings)
        body = answer.json()
        seen = _Seen(at_path(body, poll.at), at_path(body, "provider_poll_count"))
        findings += _on_the_way(before, seen, poll, body)
        if _wrong(findings) or seen.status in poll.until:
            return Polled(answer, findings)
        if not seen.active:
            return Polled(answer, [Finding(poll.at, _wanted(poll), _how_it_ended(seen, body))])
        if poll.meanwhile is not None:
            findings += [
                Finding(each.path, each.expected, each.got, note=each.additive)
                for each in mismatches(body, poll.meanwhile, values)
            ]
        if anyio.current_time() >= give_up_at:
            wanted = f"{_wanted(poll)} within {pace.patience:g} seconds"
            findings.append(Finding(poll.at, wanted, seen.status))
        if _wrong(findings):
            return Polled(answer, findings)
        before = seen
        await anyio.sleep(pause)
        pause = min(2 * pause, pace.longest_pause)


def _wrong(findings: Sequence[Finding]) -> bool:
    return any(not finding.note for finding in findings)


def _on_the_way(before: _Seen, seen: _Seen, poll: Poll, body: object) -> Iterator[Finding]:
    if _rank(seen.status) < _rank(before.status):
        yield Finding(poll.at, f"nothing before {before.status}", seen.status)
    if not isinstance(seen.count, int) or not isinstance(before.count, int):
        return
    grown = seen.count - before.count
    direct = at_path(body, "provider") == _DIRECT
    # A poll that finds the task ended in the meantime may or may not have been counted.
    allowed = (1,) if seen.active and not direct else (0, 1)
    if grown not in allowed:
        wanted = " or ".join(str(before.count + each) for each in allowed)
        yield Finding("provider_poll_count", wanted, seen.count)


def _rank(status: object) -> int:
    if status in _TERMINAL:
        return _TERMINAL_RANK
    return _RANKS.get(status, -1) if isinstance(status, str) else -1


def _wanted(poll: Poll) -> str:
    return " or ".join(poll.until)


def _how_it_ended(seen: _Seen, body: object) -> object:
    error = at_path(body, "error")
    return Excerpt(f"{seen.status}: {error}") if isinstance(error, str) else seen.status
