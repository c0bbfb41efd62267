"""The estimate of a server's clock: never ahead of it, never behind what it said."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from ttsorch.store._rows import from_microseconds
from ttsorch.store._server_clock import ServerClock

_HOUR = 3_600_000_000


class _Monotonic:
    def __init__(self) -> None:
        self.microseconds = 5_000_000

    def __call__(self) -> int:
        return self.microseconds


def _answered(local: _Monotonic, clock: ServerClock, ahead: int, out: int, back: int) -> int:
    """One statement: ``out`` on its way there, ``back`` on its way home; what the server's clock said."""
    sent = local.microseconds
    said = sent + out + ahead
    local.microseconds += out + back
    clock.observe(said, sent=sent, received=local.microseconds)
    return said


_ways = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(0, 50)), max_size=20
)


@given(ahead=st.integers(-_HOUR, _HOUR), ways=_ways)
def test_it_is_never_ahead_and_never_behind_an_answer(
    ahead: int, ways: list[tuple[int, int, int]]
) -> None:
    """Whatever the ways there and back take: no lease looks longer than it is, and no moment that the
    server has told us lies in the future."""
    local = _Monotonic()
    clock = ServerClock(local() + ahead, sent=local() - 500, received=local() + 400, read=local)
    local.microseconds += 400
    for out, back, pause in ways:
        local.microseconds += pause
        assert clock.now() <= from_microseconds(local() + ahead)
        said = _answered(local, clock, ahead, out, back)
        # Two readings were cut to a microsecond, so the estimate may lag by one.
        assert from_microseconds(said - 1) <= clock.now() <= from_microseconds(local() + ahead)


def test_a_quicker_answer_makes_it_better() -> None:
    """The best answer so far decides: a slow one afterwards spoils nothing."""
    local = _Monotonic()
    clock = ServerClock(local() + _HOUR, sent=local() - 500, received=local() + 400, read=local)
    local.microseconds += 400
    _answered(local, clock, _HOUR, out=3, back=2)
    _answered(local, clock, _HOUR, out=300, back=90_000)
    late = from_microseconds(local() + _HOUR) - clock.now()
    assert late == timedelta(microseconds=3)


def test_a_server_whose_clock_is_set_is_believed() -> None:
    """Forwards or back: the next answer says so. The same goes for a machine that slept meanwhile."""
    local = _Monotonic()
    clock = ServerClock(local() + 70, sent=local(), received=local(), read=local)
    for ahead in (_HOUR, -_HOUR, 0):
        _answered(local, clock, ahead, out=10, back=10)
        assert from_microseconds(local() + ahead) - clock.now() == timedelta(microseconds=11)
