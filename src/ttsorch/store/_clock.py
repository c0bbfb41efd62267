"""The clock of the stores that have no database server to ask."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This machine's wall clock. Processes that share a file share the machine, and so its clock."""
    return datetime.now(UTC)
