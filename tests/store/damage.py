"""What makes a row of a database one that this version can't read."""

from collections.abc import Mapping

from ttsorch.testing.task_store_unreadable import Kind

DAMAGE: Mapping[Kind, str] = {
    "task": "UPDATE {schema}tasks SET options = '{{' WHERE id = ?",
    "generation": "UPDATE {schema}generations SET status = 'from the future' WHERE id = ?",
    "effect": "UPDATE {schema}effects SET told = '[' WHERE key = ?",
    "voice": "UPDATE {schema}voices SET source = 'from the future' WHERE id = ?",
}
