-- receipt: what the provider said about its bill, as JSON; kept when the envelope is forgotten.
ALTER TABLE tasks ADD COLUMN receipt TEXT;
ALTER TABLE tasks ADD COLUMN doubted_at INTEGER;
ALTER TABLE tasks ADD COLUMN clip_key TEXT
    GENERATED ALWAYS AS (json_extract(voice, '$.reference_audio_key')) VIRTUAL;

CREATE INDEX tasks_clips ON tasks (clip_key) WHERE kind = 'clone' AND clip_key IS NOT NULL;

-- An envelope may hold a signed URL, which has no business on a finished row.
UPDATE tasks SET envelope = NULL WHERE active = 0;

PRAGMA user_version = 2;
