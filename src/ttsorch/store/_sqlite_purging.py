"""The purges of the SQLite store, inside a transaction that is already open: first what can go, then its
removal, so that a dry run and a real one can't differ."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ttsorch.models import Purged
from ttsorch.store._rows import Column, to_microseconds
from ttsorch.store._sql import queries

_SQL = queries("sqlite.sql")


def purge_ended(
    db: sqlite3.Connection, *, before: datetime, limit: int, audio: bool, dry_run: bool
) -> Purged:
    kinds = ("tasks", "generations", "effects") if audio else ("tasks", "effects")
    wanted: dict[str, Column] = {"ended": to_microseconds(before), "limit": limit, "audio": audio}
    found = {kind: _rows(db, f"ended_{kind}", wanted) for kind in kinds}
    return _purged(db, found, limit=limit, dry_run=dry_run, kept=0)


def purge_owned(
    db: sqlite3.Connection,
    owner: str,
    *,
    now: datetime,
    limit: int,
    abandon_owed: bool,
    dry_run: bool,
) -> Purged:
    wanted: dict[str, Column] = {
        "owner": owner,
        "limit": limit,
        "abandon_owed": abandon_owed,
        "now": to_microseconds(now),
    }
    kinds = ("voices", "tasks", "generations", "effects")
    found = {kind: _rows(db, f"owned_{kind}", wanted) for kind in kinds}
    kept: int = _rows(db, "count_kept_tasks", wanted)[0]["total"]
    if not dry_run and not abandon_owed:
        db.execute(_SQL["hide_owing_tasks"], wanted)
    return _purged(db, found, limit=limit, dry_run=dry_run, kept=kept)


def _purged(
    db: sqlite3.Connection,
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    limit: int,
    dry_run: bool,
    kept: int,
) -> Purged:
    if not dry_run:
        for kind, rows in found.items():
            db.execute(_SQL[f"purge_{kind}"], {"ids": json.dumps([row["id"] for row in rows])})
    keys = {row["key"]: None for rows in found.values() for row in rows if row["key"] is not None}
    return Purged(
        **{kind: len(rows) for kind, rows in found.items()},
        keys=tuple(keys),
        more=any(len(rows) >= limit for rows in found.values()),
        kept=kept,
    )


def _rows(db: sqlite3.Connection, name: str, values: Mapping[str, Column]) -> list[dict[str, Any]]:
    return db.execute(_SQL[name], values).fetchall()
