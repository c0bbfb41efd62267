-- Everything is in a schema of its own, and every statement says so: a transaction pooler forgets a
-- search_path, and a database that is shared with an application may have a table called tasks already.
--
-- Times are microseconds since the epoch, UTC. Columns named voice, options, ticket, envelope, receipt,
-- error and audio hold JSON as text: what a vendor sends may hold what jsonb refuses. What a query has to
-- look at is a column of its own. The collation "C" compares as Python does, whatever the locale, and no
-- upgrade of the operating system can spoil an index.

CREATE SCHEMA IF NOT EXISTS ttsorch;

-- One row for each migration. readable_from is the oldest version of the schema whose code runs on this
-- one: a migration that only expands repeats the number before it, one that contracts raises it.
CREATE TABLE ttsorch.migrations (
    version       INTEGER PRIMARY KEY,
    readable_from INTEGER NOT NULL,
    applied_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ttsorch.tasks (
    id                TEXT COLLATE "C" PRIMARY KEY,
    owner             TEXT COLLATE "C" NOT NULL,
    provider          TEXT COLLATE "C" NOT NULL,
    kind              TEXT COLLATE "C" NOT NULL,
    generation_id     TEXT COLLATE "C",
    voice             TEXT COLLATE "C" NOT NULL,
    options           TEXT COLLATE "C" NOT NULL,
    characters        BIGINT NOT NULL,
    idempotency_key   TEXT COLLATE "C",
    payload_hash      TEXT COLLATE "C",
    phase             TEXT COLLATE "C" NOT NULL,
    active            BOOLEAN NOT NULL,
    version           BIGINT NOT NULL,
    fence             BIGINT NOT NULL,
    lease_until       BIGINT,
    next_action_at    BIGINT,
    attempts          BIGINT NOT NULL,
    resubmits         BIGINT NOT NULL,
    outcome_open      BOOLEAN NOT NULL,
    finalize_attempts BIGINT NOT NULL,
    poll_count        BIGINT NOT NULL,
    ticket            TEXT COLLATE "C",
    envelope          TEXT COLLATE "C",
    result_expires_at BIGINT,
    receipt           TEXT COLLATE "C",
    word              TEXT COLLATE "C",
    elapsed           DOUBLE PRECISION,
    progress          DOUBLE PRECISION,
    doubted_at        BIGINT,
    error             TEXT COLLATE "C",
    audio             TEXT COLLATE "C",
    audio_key         TEXT COLLATE "C",
    clip_key          TEXT COLLATE "C",
    voice_made        BOOLEAN NOT NULL,
    cancel_owed       BOOLEAN NOT NULL,
    cancel_attempts   BIGINT NOT NULL,
    accept_by         BIGINT NOT NULL,
    finish_by         BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    submitted_at      BIGINT,
    completed_at      BIGINT,
    deleted_at        BIGINT
)
-- Room on each page for the next version of a row: a poll then touches no index. And dead entries at the
-- front of the index of due tasks are what a queue in a table dies of, so they are cleared away early.
WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX tasks_idempotency ON ttsorch.tasks (owner, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_history ON ttsorch.tasks (owner, created_at, id);
CREATE INDEX tasks_active ON ttsorch.tasks (owner, created_at, id) WHERE active;
-- What decides whose turn it is, so that what is due is sorted without reading its rows. The conditions say
-- the same in two ways (no time is as early as that), so that a query names the one it means: the planner
-- would search the first for each owner, from its beginning.
CREATE INDEX tasks_due ON ttsorch.tasks (next_action_at, owner, result_expires_at, id)
    WHERE next_action_at > -4611686018427387904;
CREATE INDEX tasks_due_of_owner ON ttsorch.tasks (owner, result_expires_at, next_action_at, id)
    WHERE next_action_at IS NOT NULL;
-- For the limit of what is under way at a provider.
CREATE INDEX tasks_in_flight ON ttsorch.tasks (provider) WHERE active AND kind <> 'clone';
CREATE INDEX tasks_unknown ON ttsorch.tasks (created_at, id) WHERE outcome_open;
CREATE INDEX tasks_audio ON ttsorch.tasks (audio_key)
    WHERE audio_key IS NOT NULL AND generation_id IS NULL;
CREATE INDEX tasks_clips ON ttsorch.tasks (clip_key) WHERE clip_key IS NOT NULL AND kind = 'clone';

-- text_folded is the text as Python folds its case, so that a search finds the same in every store.
CREATE TABLE ttsorch.generations (
    id            TEXT COLLATE "C" PRIMARY KEY,
    owner         TEXT COLLATE "C" NOT NULL,
    task_id       TEXT COLLATE "C" NOT NULL,
    voice_id      TEXT COLLATE "C" NOT NULL,
    voice_name    TEXT COLLATE "C" NOT NULL,
    text          TEXT COLLATE "C" NOT NULL,
    text_folded   TEXT COLLATE "C" NOT NULL,
    language      TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL,
    audio         TEXT COLLATE "C",
    audio_key     TEXT COLLATE "C",
    error_message TEXT COLLATE "C",
    created_at    BIGINT NOT NULL,
    completed_at  BIGINT
)
WITH (fillfactor = 80);

CREATE INDEX generations_history ON ttsorch.generations (owner, created_at, id);
CREATE INDEX generations_audio ON ttsorch.generations (audio_key) WHERE audio_key IS NOT NULL;

CREATE TABLE ttsorch.voices (
    id                    TEXT COLLATE "C" PRIMARY KEY,
    owner                 TEXT COLLATE "C",
    name                  TEXT COLLATE "C" NOT NULL,
    name_folded           TEXT COLLATE "C" NOT NULL,
    tts_provider          TEXT COLLATE "C" NOT NULL,
    source                TEXT COLLATE "C" NOT NULL,
    language              TEXT COLLATE "C" NOT NULL,
    description           TEXT COLLATE "C",
    reference_transcript  TEXT COLLATE "C",
    reference_audio_key   TEXT COLLATE "C",
    provider_voice_id     TEXT COLLATE "C",
    provider_target_model TEXT COLLATE "C",
    provider_voice_kind   TEXT COLLATE "C",
    created_at            BIGINT,
    deleted_at            BIGINT
);

CREATE INDEX voices_listing ON ttsorch.voices (owner, created_at DESC NULLS LAST, id DESC);
CREATE INDEX voices_audio ON ttsorch.voices (reference_audio_key)
    WHERE reference_audio_key IS NOT NULL;

-- The outbox: what a host owes the world because a task ended. told: the names of those who know, as JSON.
CREATE TABLE ttsorch.effects (
    key        TEXT COLLATE "C" PRIMARY KEY,
    owner      TEXT COLLATE "C" NOT NULL,
    task_id    TEXT COLLATE "C" NOT NULL,
    status     TEXT COLLATE "C" NOT NULL,
    state      TEXT COLLATE "C" NOT NULL,
    attempts   BIGINT NOT NULL,
    told       TEXT COLLATE "C" NOT NULL,
    error      TEXT COLLATE "C",
    due_at     BIGINT,
    created_at BIGINT NOT NULL
);

CREATE INDEX effects_due ON ttsorch.effects (due_at, key) WHERE due_at IS NOT NULL;
CREATE INDEX effects_listing ON ttsorch.effects (state, created_at, key);

INSERT INTO ttsorch.migrations (version, readable_from) VALUES (1, 1);
