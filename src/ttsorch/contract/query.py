"""Query strings and ids, read as leniently as the contract asks (C7, C8)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import parse_qsl

from ttsorch.errors import NotFound

#: The last value of each parameter.
Query: TypeAlias = Mapping[str, str]
#: Where a listing goes on: ``created_at`` and ``id`` of the last row already seen.
Cursor: TypeAlias = tuple[datetime, str]

PER_PAGE = 20
MAX_PER_PAGE = 100
#: No database has so many rows, and page times per_page still fits a 64-bit integer.
_MAX_PAGE = 10**9

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COUNT = re.compile(r"0*[1-9][0-9]{0,99}", re.ASCII)


def parse_query(raw: str) -> Query:
    """The parameters of ``raw``; one that isn't UTF-8 gets replacement characters."""
    if not raw:
        return {}
    # Some servers hand bytes that are not ASCII over as lone surrogates, which no database can be asked for.
    asked = raw.encode("utf-8", "replace").decode()
    return dict(parse_qsl(asked, keep_blank_values=True, errors="replace"))


def canonical_id(raw: str) -> str | None:
    """The UUID that ``raw`` spells, in lower case (RFC 9562, 4), or None if it isn't one."""
    lowered = raw.lower()
    return lowered if _UUID.fullmatch(lowered) else None


def known_id(raw: str) -> str:
    """:func:`canonical_id`, for a path: a malformed id names no row (contract C7).

    Raises:
        NotFound: without asking the database, which may not even be able to express the id.
    """
    found = canonical_id(raw)
    if found is None:
        raise NotFound
    return found


def page_number(query: Query) -> int:
    """``page``, counted from 1; junk is 1."""
    return min(_count(query.get("page", ""), default=1), _MAX_PAGE)


def per_page(query: Query) -> int:
    """``per_page``, at most 100; junk is the default."""
    return min(_count(query.get("per_page", ""), default=PER_PAGE), MAX_PER_PAGE)


def limit(query: Query, cap: int) -> int:
    """``limit``, at most ``cap``; junk is the default."""
    return min(_count(query.get("limit", ""), default=PER_PAGE), cap)


def search(query: Query) -> str:
    """``search``; blank means no filter."""
    # PostgreSQL can't be asked for a NUL; no stored text holds one, nor its replacement.
    wanted = query.get("search", "").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return wanted if wanted.strip() else ""


def cursor(query: Query) -> Cursor | None:
    """``before``, as :func:`cursor_text` wrote it; a bare time is taken too, and junk is the start."""
    moment, _, row_id = query.get("before", "").partition("_")
    try:
        parsed = datetime.fromisoformat(moment)
        utc = parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    # Only an id goes to the database, which may not even be able to express what else was sent.
    return utc, canonical_id(row_id) or ""


def cursor_text(last: Cursor) -> str:
    """Where the listing goes on after ``last``. Names a moment and an id, so it shows nobody anything: the
    owner is asked for again with every page."""
    moment, row_id = last
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z_{row_id}"


def _count(raw: str, *, default: int) -> int:
    return int(raw) if _COUNT.fullmatch(raw) else default
