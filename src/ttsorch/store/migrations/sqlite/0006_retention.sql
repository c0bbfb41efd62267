-- A task may go while its generation stays, so that no key of the one points to the other any more. SQLite
-- can't drop a constraint: the table is written anew.
CREATE TABLE generations_without_key (
    id            TEXT PRIMARY KEY,
    owner         TEXT NOT NULL,
    task_id       TEXT NOT NULL,
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

INSERT INTO generations_without_key (
    id, owner, task_id, voice_id, voice_name, text, language, status, audio, error_message, created_at,
    completed_at
)
SELECT
    id, owner, task_id, voice_id, voice_name, text, language, status, audio, error_message, created_at,
    completed_at
FROM generations;

DROP TABLE generations;
ALTER TABLE generations_without_key RENAME TO generations;

CREATE INDEX generations_history ON generations (owner, created_at, id);
CREATE INDEX generations_audio ON generations (audio_key) WHERE audio_key IS NOT NULL;

-- What a purge by age begins with. Tasks that make voices may have to stay for long, and are not to be in
-- the way of the others.
CREATE INDEX tasks_ended_speech ON tasks (completed_at, id)
    WHERE completed_at IS NOT NULL AND kind = 'generate';
CREATE INDEX tasks_ended_casting ON tasks (completed_at, id)
    WHERE completed_at IS NOT NULL AND kind <> 'generate';
CREATE INDEX generations_ended ON generations (completed_at, id) WHERE completed_at IS NOT NULL;
CREATE INDEX effects_of_task ON effects (owner, task_id);

PRAGMA user_version = 6;
