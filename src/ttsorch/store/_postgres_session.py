"""A connection as the store has it: what is set in it, how it sends numbers, and what it has prepared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from psycopg import AsyncConnection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import DictRow

from ttsorch.store._postgres_url import Target

#: Of a row: the names, and what reads a value.
Columns: TypeAlias = Sequence[tuple[str, Callable[[bytes], Any]]]


class Session(AsyncConnection[DictRow]):
    """``columns`` has the statements that :mod:`._postgres_exchange` has prepared here, with the columns of
    their rows once one has been seen."""

    columns: dict[str, Columns]


class _Untyped(Dumper):
    """A number without a type, as psycopg sends strings: the server knows what it needs. The driver would
    choose among three integer types by value, and each choice would be a prepared statement of its own."""

    format = Format.TEXT
    oid = 0

    def dump(self, obj: object) -> bytes:
        return repr(obj).encode()


def settings(target: Target, statement_seconds: float) -> Mapping[str, Any]:
    """Settings of a session of our own; the URL's own options come last, and so win."""
    milliseconds = f"{statement_seconds * 1000:.0f}"
    ours = (
        f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
        r" -c default_transaction_isolation=read\ committed"
    )
    return {"options": f"{ours} {target.options}".strip()}


async def configure(session: Session) -> None:
    session.columns = {}
    for kind in (int, float, bool):
        session.adapters.register_dumper(kind, _Untyped)
