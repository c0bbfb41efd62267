"""Reads the URL of a PostgreSQL database: what is ours, and what goes to the driver."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ttsorch.errors import ConfigurationError

_SCHEMES = ("postgresql://", "postgres://")

_EXPECTED = (
    "The database URL must be postgresql://user:password@host:port/database, special characters in it "
    "percent-encoded, with libpq's parameters and pool_size and pooler after a question mark."
)
_POOL_SIZE = 10
_MOST_CONNECTIONS = 1000
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

#: A peer that vanished without a word is noticed within half a minute, also while nothing is sent.
_KEEPALIVES: Mapping[str, str | int] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "ttsorch",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. ``conninfo`` holds the password, so it is not shown.

    ``options`` are the settings that the URL asks for; ``pooler`` is None where it is to be found out.
    """

    conninfo: str
    options: str
    pool_size: int
    pooler: bool | None

    def __repr__(self) -> str:
        return f"Target(pool_size={self.pool_size}, pooler={self.pooler})"


def read_url(
    url: str, *, connect_seconds: float, pool_size: int | None = None, pooler: bool | None = None
) -> Target:
    """What ``url`` names; ``pool_size`` and ``pooler``, where given, win over the URL's.

    Raises:
        ConfigurationError: the URL has another form. The message never repeats any of it.
    """
    if not url.startswith(_SCHEMES):
        raise ConfigurationError(_EXPECTED)
    try:
        address, _, parameters = url.partition("?")
        query = dict(parse_qsl(parameters, keep_blank_values=True, strict_parsing=bool(parameters)))
        size = _size(query.pop("pool_size", ""))
        in_url = _switch(query.pop("pooler", ""))
        given = conninfo_to_dict(f"{address}?{urlencode(query, quote_via=quote)}")
    except (ValueError, KeyError, ProgrammingError):
        # Without its cause: what these say may quote the URL.
        raise ConfigurationError(_EXPECTED) from None
    timeout = {"connect_timeout": max(2, round(connect_seconds))}  # libpq takes 1 for 2
    return Target(
        conninfo=make_conninfo("", **{**_KEEPALIVES, **timeout, **given}),
        options=str(given.get("options") or ""),
        pool_size=size if pool_size is None else pool_size,
        pooler=in_url if pooler is None else pooler,
    )


def _size(text: str) -> int:
    size = int(text) if text else _POOL_SIZE
    if not 1 <= size <= _MOST_CONNECTIONS:
        raise ValueError("pool_size")
    return size


def _switch(text: str) -> bool | None:
    return _BOOLEANS[text.lower()] if text else None
