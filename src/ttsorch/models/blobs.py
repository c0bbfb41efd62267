"""What a blob store tells."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A stored blob. ``size`` is in bytes."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class BlobStream:
    """A blob, or a range of one, being read. ``size`` is that of the whole blob, in bytes."""

    chunks: AsyncIterator[bytes]
    size: int
    content_type: str
