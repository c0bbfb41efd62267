"""What was taken out of an older v1 backend: its rows, read column by column, and its files."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ttsorch.capabilities import check_encoding
from ttsorch.errors import Category, ValidationError
from ttsorch.models import ErrorInfo, Voice, VoiceSource

Row = Mapping[str, object]

_LONGEST_MESSAGE = 300


class Refused(Exception):
    """Why a row can't be imported."""


@dataclass(frozen=True)
class Export:
    """What was taken out of the old backend."""

    folder: Path

    def __post_init__(self) -> None:
        """
        Raises:
            ValidationError: a table is missing that every export has: a mistyped folder must not look like
                an import of nothing that went well. Or a task can't be read: its generation would be
                imported without it, once and for all.
        """
        for name in ("voices.jsonl", "generations.jsonl"):
            if not (self.folder / name).is_file():
                raise ValidationError(f"There is no {name} in {self.folder}.", code="no_export")
        if not all(self.rows("tasks")):
            raise ValidationError("A line of tasks.jsonl is not a JSON object.", code="no_export")

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table; a line that isn't one comes as an empty row, to be refused in its turn.

        Raises:
            ValidationError: the file isn't UTF-8.
        """
        path = self.folder / f"{table}.jsonl"
        try:
            text = path.read_text("utf-8") if path.exists() else ""
        except UnicodeDecodeError:
            raise ValidationError(f"{path.name} is not UTF-8.", code="no_export") from None
        # Not splitlines(): JSON lets a text hold the other line breaks of Unicode as they are.
        for line in text.split("\n"):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            yield row if isinstance(row, dict) else {}

    async def read(self, object_key: str, *, owner: str) -> bytes:
        """The file behind a row of ``owner``. The old server refused a key that isn't under its owner's
        prefix (contract R8): copied here, it would become theirs, whoever's it was."""
        root = (self.folder / "objects").resolve()
        home, path = (root / owner).resolve(), (root / object_key).resolve()
        if home.parent != root or not path.is_relative_to(home):
            raise Refused(f"its audio is not under its owner's prefix: {object_key}")
        if not path.is_file():
            raise Refused(f"its audio is not in the export: {object_key}")
        return await anyio.Path(path).read_bytes()


def text_in(row: Row, column: str) -> str | None:
    """The text in a column, None for a blank one."""
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        return None
    check_encoding(value)
    return value


def required(row: Row, column: str) -> str:
    value = text_in(row, column)
    if value is None:
        raise Refused(f"{column} is missing")
    return value


def owner_in(row: Row) -> str:
    return required(row, "user_id")


def id_in(row: Row, column: str) -> str:
    try:
        return str(uuid.UUID(required(row, column)))
    except ValueError:
        raise Refused(f"{column} is no UUID") from None


def time_in(row: Row, column: str) -> datetime:
    try:
        moment = datetime.fromisoformat(required(row, column))
    except ValueError:
        raise Refused(f"{column} is no time") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def voice_in(row: Row) -> Voice:
    """A row of ``voices``, without its recording, whose key is a new one."""
    source = text_in(row, "source")
    if source not in (VoiceSource.UPLOADED, VoiceSource.DESIGNED):
        raise Refused(f"unknown source: {source}")
    return Voice(
        id=id_in(row, "id"),
        owner=owner_in(row),
        name=required(row, "name"),
        source=VoiceSource(source),
        language=text_in(row, "language") or "Auto",
        description=text_in(row, "description"),
        reference_transcript=text_in(row, "reference_transcript"),
        tts_provider=text_in(row, "tts_provider") or "modal",
        provider_voice_id=text_in(row, "provider_voice_id"),
        provider_target_model=text_in(row, "provider_target_model"),
        provider_voice_kind=text_in(row, "provider_voice_kind"),
        created_at=time_in(row, "created_at"),
        deleted_at=time_in(row, "deleted_at") if row.get("deleted_at") else None,
    )


def failure_in(row: Row) -> ErrorInfo:
    """The old sentence, unless it looks like what a vendor said to the server and not to people."""
    said = " ".join((text_in(row, "error_message") or "").split())
    is_raw = (
        not said
        or len(said) > _LONGEST_MESSAGE
        or any(mark in said for mark in "{<")
        or "://" in said
    )
    message = "The generation failed." if is_raw else said
    return ErrorInfo(Category.PROVIDER_UNAVAILABLE, "failed_before_import", message)
