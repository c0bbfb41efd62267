"""What every store that counts has to agree on."""

from datetime import timedelta

#: The minute of ``Limits.submits_per_minute``.
LIMIT_WINDOW = timedelta(seconds=60)
