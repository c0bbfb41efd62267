"""A clock that moves only when a test says so."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Give it to a store as its ``clock``. May be set back, as real clocks sometimes are."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move by ``seconds``, which may be negative."""
        self._now += timedelta(seconds=seconds)
