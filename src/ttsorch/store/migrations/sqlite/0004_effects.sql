-- The outbox: what a host owes the world because a task ended. told: the names of those who know, as JSON.
CREATE TABLE effects (
    key        TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    task_id    TEXT NOT NULL,
    status     TEXT NOT NULL,
    state      TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    told       TEXT NOT NULL,
    error      TEXT,
    due_at     INTEGER,
    created_at INTEGER NOT NULL
);

CREATE INDEX effects_due ON effects (due_at, key) WHERE due_at IS NOT NULL;
CREATE INDEX effects_listing ON effects (state, created_at, key);

PRAGMA user_version = 4;
