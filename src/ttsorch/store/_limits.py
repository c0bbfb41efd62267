"""What every store that counts, pauses and puts aside has to agree on."""

from datetime import timedelta

#: The minute of ``Limits.submits_per_minute``.
LIMIT_WINDOW = timedelta(seconds=60)
#: What waited for the end of a pause comes back within so many seconds after it, not all at once.
PAUSE_SPREAD_SECONDS = 3.0
#: A row that can't be read is looked at again after so many seconds at the latest: a newer version of
#: ttsorch, or who mends it, may make it readable.
UNREADABLE_HOLD_SECONDS = 600.0
#: Why such a row is put aside.
UNREADABLE = "unreadable"
#: How often one call looks for due tasks in place of those that it could not hand out.
LOOKS_FOR_DUE = 5
