-- Times are microseconds since the epoch, UTC. Columns named voice, options, ticket, envelope, error and
-- audio hold JSON. What a query has to look at is a column of its own.

CREATE TABLE tasks (
    id                TEXT PRIMARY KEY,
    owner             TEXT NOT NULL,
    provider          TEXT NOT NULL,
    kind              TEXT NOT NULL,
    generation_id     TEXT,
    voice             TEXT NOT NULL,
    options           TEXT NOT NULL,
    characters        INTEGER NOT NULL,
    idempotency_key   TEXT,
    payload_hash      TEXT,
    phase             TEXT NOT NULL,
    active            INTEGER NOT NULL,
    version           INTEGER NOT NULL,
    fence             INTEGER NOT NULL,
    lease_until       INTEGER,
    next_action_at    INTEGER,
    attempts          INTEGER NOT NULL,
    resubmits         INTEGER NOT NULL,
    outcome_open      INTEGER NOT NULL,
    finalize_attempts INTEGER NOT NULL,
    poll_count        INTEGER NOT NULL,
    ticket            TEXT,
    envelope          TEXT,
    result_expires_at INTEGER,
    word              TEXT,
    elapsed           REAL,
    progress          REAL,
    error             TEXT,
    audio             TEXT,
    audio_key         TEXT GENERATED ALWAYS AS (json_extract(audio, '$.key')) VIRTUAL,
    cancel_owed       INTEGER NOT NULL,
    cancel_attempts   INTEGER NOT NULL,
    accept_by         INTEGER NOT NULL,
    finish_by         INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    submitted_at      INTEGER,
    completed_at      INTEGER,
    deleted_at        INTEGER
);

CREATE UNIQUE INDEX tasks_idempotency ON tasks (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_history ON tasks (owner, created_at, id);
CREATE INDEX tasks_active ON tasks (owner) WHERE active = 1;
CREATE INDEX tasks_due ON tasks (next_action_at, id) WHERE next_action_at IS NOT NULL;
CREATE INDEX tasks_unknown ON tasks (created_at, id) WHERE outcome_open = 1;
CREATE INDEX tasks_audio ON tasks (audio_key) WHERE audio_key IS NOT NULL;

CREATE TABLE generations (
    id            TEXT PRIMARY KEY,
    owner         TEXT NOT NULL,
    task_id       TEXT NOT NULL REFERENCES tasks (id),
    voice_id      TEXT NOT NULL,
    voice_name    TEXT NOT NULL,
    text          TEXT NOT NULL,
    language      TEXT NOT NULL,
    status        TEXT NOT NULL,
    audio         TEXT,
    audio_key     TEXT GENERATED ALWAYS AS (json_extract(audio, '$.key')) VIRTUAL,
    error_message TEXT,
    created_at    INTEGER NOT NULL,
    completed_at  INTEGER
);

CREATE INDEX generations_history ON generations (owner, created_at, id);
CREATE INDEX generations_audio ON generations (audio_key) WHERE audio_key IS NOT NULL;

CREATE TABLE voices (
    id                    TEXT PRIMARY KEY,
    owner                 TEXT,
    name                  TEXT NOT NULL,
    tts_provider          TEXT NOT NULL,
    source                TEXT NOT NULL,
    language              TEXT NOT NULL,
    description           TEXT,
    reference_transcript  TEXT,
    reference_audio_key   TEXT,
    provider_voice_id     TEXT,
    provider_target_model TEXT,
    provider_voice_kind   TEXT,
    created_at            INTEGER,
    deleted_at            INTEGER
);

CREATE INDEX voices_listing ON voices (owner, created_at, id);
CREATE INDEX voices_audio ON voices (reference_audio_key) WHERE reference_audio_key IS NOT NULL;

PRAGMA user_version = 1;
