"""How much a server may send, how slowly, and for how long. Pure: the time is an argument."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one download may cost; times in seconds.

    ``max_bytes`` is the size of the audio. ``connect`` is for resolving a name and connecting to it, and
    once more for the TLS handshake. ``deadline`` is for everything, redirects and resumptions too. While we
    wait for the server it may be silent for ``stall``, and over each ``rate_window`` of waiting it has to
    send ``min_rate`` bytes per second. ``max_hops`` redirects are followed; a body that breaks off is
    resumed ``max_resumes`` times.
    """

    max_bytes: int = 512 * 1024 * 1024
    connect: float = 5.0
    deadline: float = 900.0
    stall: float = 30.0
    min_rate: float = 1024.0
    rate_window: float = 30.0
    max_hops: int = 5
    max_resumes: int = 3


class Pace:
    """The clock of one download. Only waiting for the server counts as slowness: a reader that takes its
    time over a chunk must not look like a server that does. All ``now`` are :func:`time.monotonic` values.
    """

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.ends_at = now + limits.deadline
        self._waited = 0.0
        self._received = 0

    def for_a_head(self, now: float) -> float:
        """Seconds that the next response may take to begin: a place among the connections, the connection,
        its TLS, then silence."""
        return max(0.0, min(3 * self._limits.connect + self._limits.stall, self.ends_at - now))

    def for_a_chunk(self, now: float) -> float:
        """Seconds to wait for the next chunk; when none has come by then, the server is too slow."""
        window = self._limits.rate_window - self._waited if self._lags else math.inf
        return max(0.0, min(self._limits.stall, window, self.ends_at - now))

    def keeps_up(self, size: int, waited: float) -> bool:
        """Whether the server is fast enough, now that ``size`` bytes came after ``waited`` seconds."""
        self._waited += waited
        self._received += size
        if self._waited < self._limits.rate_window:
            return True
        fast_enough = not self._lags
        self._waited, self._received = 0.0, 0
        return fast_enough

    @property
    def _lags(self) -> bool:
        return self._received < self._limits.min_rate * self._limits.rate_window
