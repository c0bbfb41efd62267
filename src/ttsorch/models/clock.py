"""The time that rows and blobs are stamped with."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

#: Returns the current time, timezone-aware, in UTC.
Clock: TypeAlias = Callable[[], datetime]
