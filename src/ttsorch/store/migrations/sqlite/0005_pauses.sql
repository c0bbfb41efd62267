-- A provider to which nothing new is sent until then. One row each, kept when it is over.
CREATE TABLE pauses (
    provider TEXT PRIMARY KEY,
    until    INTEGER NOT NULL,
    reason   TEXT NOT NULL
);

-- How often in a row a step failed in a way that nobody foresaw, and with what.
ALTER TABLE tasks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN failure TEXT;

CREATE INDEX tasks_stuck ON tasks (failures DESC, id) WHERE failures > 0;

PRAGMA user_version = 5;
