-- Every statement of the SQLite store. Lists travel as one JSON parameter, read by json_each.

-- name: begin_read
BEGIN;

-- name: begin_write
-- IMMEDIATE: a transaction that reads first and upgrades to writing later fails under contention.
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: savepoint
SAVEPOINT call;

-- name: undo_to_savepoint
ROLLBACK TO call;

-- name: release_savepoint
RELEASE call;

-- name: journal_mode
PRAGMA journal_mode;

-- name: use_wal
PRAGMA journal_mode = WAL;

-- name: synchronous_full
PRAGMA synchronous = FULL;

-- name: enforce_foreign_keys
PRAGMA foreign_keys = ON;

-- name: refuse_writes
PRAGMA query_only = ON;

-- name: schema_version
PRAGMA user_version;

-- name: earlier_task
SELECT * FROM tasks
WHERE owner = :owner AND (id = :id OR idempotency_key = :idempotency_key)
ORDER BY id = :id DESC
LIMIT 1;

-- name: task_by_key
SELECT * FROM tasks WHERE owner = :owner AND idempotency_key = :idempotency_key;

-- name: count_active
-- What was put aside as unreadable takes no slot here: its owner has no way to end it.
SELECT count(*) AS total FROM tasks
WHERE owner = :owner AND active = 1 AND kind <> 'clone' AND failure IS NOT 'unreadable';

-- name: last_submits
SELECT created_at FROM tasks
WHERE owner = :owner AND created_at > :since AND kind <> 'clone'
ORDER BY created_at DESC
LIMIT :limit;

-- name: count_in_flight
SELECT count(*) AS total FROM tasks
WHERE provider = :provider AND active = 1 AND kind <> 'clone' AND failure IS NOT 'unreadable';

-- name: insert_task
INSERT INTO tasks (
    id, owner, provider, kind, generation_id, voice, options, characters, idempotency_key, payload_hash,
    phase, active, version, fence, lease_until, next_action_at, attempts, resubmits, outcome_open,
    finalize_attempts, poll_count, ticket, envelope, result_expires_at, receipt, word, elapsed, progress,
    doubted_at, error, audio, cancel_owed, cancel_attempts, accept_by, finish_by, created_at, updated_at, submitted_at,
    completed_at, deleted_at
)
SELECT
    :id, :owner, :provider, :kind, :generation_id, :voice, :options, :characters, :idempotency_key,
    :payload_hash, :phase, :active, :version, :fence, :lease_until, :next_action_at, :attempts,
    :resubmits, :outcome_open, :finalize_attempts, :poll_count, :ticket, :envelope, :result_expires_at,
    :receipt, :word, :elapsed, :progress, :doubted_at, :error, :audio, :cancel_owed, :cancel_attempts, :accept_by, :finish_by,
    :created_at, :updated_at, :submitted_at, :completed_at, :deleted_at
WHERE :active = 0
    OR NOT EXISTS (SELECT 1 FROM pauses WHERE pauses.provider = :provider AND until > :now);

-- name: insert_generation
INSERT INTO generations (
    id, owner, task_id, voice_id, voice_name, text, language, status, audio, error_message, created_at,
    completed_at
) VALUES (
    :id, :owner, :task_id, :voice_id, :voice_name, :text, :language, :status, :audio, :error_message,
    :created_at, :completed_at
);

-- name: task
SELECT * FROM tasks
WHERE id = :id AND owner = :owner AND (deleted_at IS NULL OR :include_deleted);

-- name: count_poll
UPDATE tasks SET poll_count = poll_count + 1
WHERE id = :id AND owner = :owner AND deleted_at IS NULL AND active = 1
RETURNING *;

-- name: write_task
-- Compare-and-set, with or without taking a lease (:grants is 1 or 0). poll_count and deleted_at are the
-- store's own, and so is fence. :sends is 1 where a call to the provider is to follow.
UPDATE tasks SET
    provider = :provider, kind = :kind, generation_id = :generation_id, voice = :voice,
    options = :options, characters = :characters, idempotency_key = :idempotency_key,
    payload_hash = :payload_hash, phase = :phase, active = :active, version = :version,
    fence = fence + :grants, lease_until = :lease_until, next_action_at = :next_action_at,
    attempts = :attempts, resubmits = :resubmits, outcome_open = :outcome_open,
    finalize_attempts = :finalize_attempts, ticket = :ticket, envelope = :envelope,
    result_expires_at = :result_expires_at, receipt = :receipt, word = :word, elapsed = :elapsed,
    progress = :progress, doubted_at = :doubted_at, error = :error, audio = :audio, cancel_owed = :cancel_owed, cancel_attempts = :cancel_attempts,
    accept_by = :accept_by, finish_by = :finish_by, created_at = :created_at, updated_at = :updated_at,
    submitted_at = :submitted_at, completed_at = :completed_at, failures = 0, failure = NULL
WHERE id = :id AND owner = :owner AND version = :expected_version
    AND (:grants = 0 OR lease_until IS NULL OR lease_until <= :now)
    AND (
        :sends = 0 OR NOT EXISTS (
            SELECT 1 FROM pauses WHERE pauses.provider = tasks.provider AND until > :now
        )
    )
RETURNING *;

-- name: write_generation
-- UPDATE, never an upsert: a generation that its user deleted must stay deleted.
UPDATE generations SET
    task_id = :task_id, voice_id = :voice_id, voice_name = :voice_name, text = :text,
    language = :language, status = :status, audio = :audio, error_message = :error_message,
    created_at = :created_at, completed_at = :completed_at
WHERE id = :id AND owner = :owner;

-- name: renew
UPDATE tasks SET lease_until = :until, next_action_at = :until
WHERE id = :id AND fence = :fence AND lease_until IS NOT NULL;

-- name: count_due
SELECT count(*) AS total FROM (
    SELECT 1 FROM tasks
    WHERE next_action_at IS NOT NULL AND next_action_at <= :now
    LIMIT :most
);

-- name: due_tasks
-- Sorts all that is due, from the index alone.
WITH due AS (
    SELECT id AS due_id, row_number() OVER (
        PARTITION BY owner
        ORDER BY result_expires_at IS NULL, result_expires_at, next_action_at, id
    ) AS turn
    FROM tasks
    WHERE next_action_at IS NOT NULL AND next_action_at <= :now
)
SELECT tasks.* FROM due JOIN tasks ON tasks.id = due_id
ORDER BY turn, result_expires_at IS NULL, result_expires_at, next_action_at, id
LIMIT :limit;

-- name: due_tasks_of_a_backlog
-- Goes from owner to owner instead, and looks at as few jobs of each as make :limit in all.
WITH RECURSIVE owners (owner) AS (
    SELECT min(owner) FROM tasks WHERE next_action_at IS NOT NULL
    UNION ALL
    SELECT (
        SELECT min(tasks.owner) FROM tasks
        WHERE tasks.next_action_at IS NOT NULL AND tasks.owner > owners.owner
    )
    FROM owners WHERE owners.owner IS NOT NULL
), share (most) AS (
    SELECT 1 + :limit / max(1, count(owner)) FROM owners
), picked AS (
    SELECT tasks.id AS due_id, row_number() OVER (
        PARTITION BY tasks.owner
        ORDER BY result_expires_at IS NULL, result_expires_at, next_action_at, id
    ) AS turn
    FROM owners JOIN tasks ON tasks.id IN (
        SELECT id FROM (
            SELECT id FROM tasks AS expiring
            WHERE expiring.owner = owners.owner AND result_expires_at IS NOT NULL
                AND next_action_at IS NOT NULL AND next_action_at <= :now
            ORDER BY result_expires_at, next_action_at, id
            LIMIT (SELECT most FROM share)
        )
        UNION ALL
        SELECT id FROM (
            SELECT id FROM tasks AS waiting
            WHERE waiting.owner = owners.owner AND result_expires_at IS NULL
                AND next_action_at IS NOT NULL AND next_action_at <= :now
            ORDER BY next_action_at, id
            LIMIT (SELECT most FROM share)
        )
    )
)
SELECT tasks.* FROM picked JOIN tasks ON tasks.id = due_id
ORDER BY turn, result_expires_at IS NULL, result_expires_at, next_action_at, id
LIMIT :limit;

-- name: hold_tasks
UPDATE tasks SET next_action_at = :until WHERE id IN (SELECT value FROM json_each(:ids));

-- name: list_tasks
SELECT * FROM tasks
WHERE owner = :owner AND deleted_at IS NULL
    AND (:active IS NULL OR active = :active)
    AND (:kind IS NULL OR kind = :kind)
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: list_tasks_before
SELECT * FROM tasks
WHERE owner = :owner AND deleted_at IS NULL
    AND (created_at, id) < (:before_created_at, :before_id)
    AND (:active IS NULL OR active = :active)
    AND (:kind IS NULL OR kind = :kind)
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: list_unknown
SELECT * FROM tasks
WHERE outcome_open = 1 AND (lease_until IS NULL OR lease_until <= :now)
ORDER BY created_at, id
LIMIT :limit;

-- name: hide_task
UPDATE tasks SET deleted_at = :now WHERE id = :id AND owner = :owner AND deleted_at IS NULL;

-- name: insert_effect
INSERT INTO effects (
    key, owner, task_id, status, state, attempts, told, error, due_at, created_at
) VALUES (
    :key, :owner, :task_id, :status, :state, :attempts, :told, :error, :due_at, :created_at
)
ON CONFLICT (key) DO NOTHING;

-- name: write_effect
UPDATE effects SET
    state = :state, attempts = :attempts, told = :told, error = :error, due_at = :due_at
WHERE key = :key AND attempts = :attempts - 1;

-- name: due_effects
SELECT * FROM effects
WHERE due_at IS NOT NULL AND due_at <= :now
ORDER BY due_at, key
LIMIT :limit;

-- name: hold_effects
UPDATE effects SET due_at = :until WHERE key IN (SELECT value FROM json_each(:keys));

-- name: list_effects
SELECT * FROM effects WHERE state = :state ORDER BY created_at, key LIMIT :limit;

-- name: generations
SELECT * FROM generations WHERE id IN (SELECT value FROM json_each(:ids));

-- name: generation
SELECT * FROM generations WHERE id = :id AND owner = :owner;

-- name: count_generations
SELECT count(*) AS total FROM generations
WHERE owner = :owner
    AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
    AND (:search = '' OR instr(casefold(text), :search) > 0);

-- name: list_generations
SELECT * FROM generations
WHERE owner = :owner
    AND (:status IS NULL OR status IN (SELECT value FROM json_each(:status)))
    AND (:search = '' OR instr(casefold(text), :search) > 0)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- name: delete_generation
DELETE FROM generations WHERE id = :id AND owner = :owner;

-- name: referenced_keys
-- A task with a generation doesn't count: its audio is the generation's, and goes when that is deleted.
SELECT audio_key AS key FROM generations
WHERE audio_key IN (SELECT value FROM json_each(:keys))
UNION
SELECT audio_key FROM tasks
WHERE audio_key IN (SELECT value FROM json_each(:keys)) AND generation_id IS NULL
UNION
SELECT reference_audio_key FROM voices
WHERE reference_audio_key IN (SELECT value FROM json_each(:keys))
UNION
SELECT clip_key FROM tasks
WHERE clip_key IN (SELECT value FROM json_each(:keys)) AND kind = 'clone'
    AND (active = 1 OR json_extract(voice, '$.provider_voice_id') IS NOT NULL);

-- name: insert_voice
INSERT INTO voices (
    id, owner, name, tts_provider, source, language, description, reference_transcript,
    reference_audio_key, provider_voice_id, provider_target_model, provider_voice_kind, created_at,
    deleted_at
)
SELECT
    :id, :owner, :name, :tts_provider, :source, :language, :description, :reference_transcript,
    :reference_audio_key, :provider_voice_id, :provider_target_model, :provider_voice_kind, :created_at,
    :deleted_at
WHERE :of_task IS NULL OR EXISTS (SELECT 1 FROM tasks WHERE id = :of_task AND owner = :owner)
ON CONFLICT (id) DO NOTHING;

-- name: voice
SELECT * FROM voices WHERE id = :id AND owner = :owner;

-- name: count_voices
SELECT count(*) AS total FROM voices
WHERE owner = :owner AND deleted_at IS NULL
    AND (:source IS NULL OR source = :source)
    AND (:search = '' OR instr(casefold(name), :search) > 0);

-- name: list_voices
SELECT * FROM voices
WHERE owner = :owner AND deleted_at IS NULL
    AND (:source IS NULL OR source = :source)
    AND (:search = '' OR instr(casefold(name), :search) > 0)
ORDER BY created_at DESC, id DESC
LIMIT :limit OFFSET :offset;

-- name: delete_voice
UPDATE voices SET deleted_at = coalesce(deleted_at, :now) WHERE id = :id AND owner = :owner;

-- name: pause_provider
INSERT INTO pauses (provider, until, reason) VALUES (:provider, :until, :reason)
ON CONFLICT (provider) DO UPDATE SET until = excluded.until, reason = excluded.reason
WHERE excluded.until > pauses.until;

-- name: end_pause
UPDATE pauses SET until = :now WHERE provider = :provider AND until > :now;

-- name: pause
SELECT until FROM pauses WHERE provider = :provider AND until > :now;

-- name: list_pauses
SELECT provider, until, reason FROM pauses WHERE until > :now ORDER BY provider;

-- name: put_off_tasks
-- Of those just found due: what would be sent to a provider that is paused, and has time to wait.
UPDATE tasks SET
    next_action_at = min(
        (SELECT until FROM pauses WHERE pauses.provider = tasks.provider) + abs(random() % :spread),
        accept_by,
        finish_by
    )
WHERE id IN (SELECT value FROM json_each(:ids)) AND phase = 'queued'
    AND min(accept_by, finish_by) > :now
    AND provider IN (SELECT provider FROM pauses WHERE until > :now)
RETURNING id;

-- name: put_aside
UPDATE tasks SET
    failures = failures + 1,
    failure = :reason,
    next_action_at = min(
        :now + min(:hold << min(failures, 16), :longest),
        CASE
            WHEN active = 0 OR finish_by <= :now THEN 9223372036854775807
            WHEN phase NOT IN ('queued', 'submit_unknown') THEN finish_by
            WHEN accept_by <= :now THEN 9223372036854775807
            ELSE min(accept_by, finish_by)
        END
    )
WHERE id = :id AND next_action_at IS NOT NULL
    AND (:expected_version IS NULL OR version = :expected_version);

-- name: list_stuck
SELECT id, owner, provider, kind, phase, failures, failure, next_action_at FROM tasks
WHERE failures > 0
ORDER BY failures DESC, id
LIMIT :limit;

-- name: ended_tasks
-- For a purge by age: what nobody needs any more. What makes voices is looked up apart, so that what has to
-- stay of it is not in the way. A preview's audio goes with it; a clone's is its voice's.
SELECT id, key FROM (
    SELECT id, NULL AS key FROM tasks
    WHERE kind = 'generate' AND completed_at IS NOT NULL AND completed_at <= :ended
        AND active = 0 AND next_action_at IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM effects
            WHERE effects.owner = tasks.owner AND effects.task_id = tasks.id AND effects.state = 'owed'
        )
    ORDER BY completed_at, id
    LIMIT :limit
)
UNION ALL
SELECT id, key FROM (
    SELECT id, CASE WHEN :audio AND kind = 'design_preview' THEN audio_key END AS key FROM tasks
    WHERE kind <> 'generate' AND completed_at IS NOT NULL AND completed_at <= :ended
        AND active = 0 AND next_action_at IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM effects
            WHERE effects.owner = tasks.owner AND effects.task_id = tasks.id AND effects.state = 'owed'
        )
        AND (
            (kind = 'design_preview' AND (:audio OR audio IS NULL))
            OR EXISTS (
                SELECT 1 FROM voices
                WHERE voices.id = json_extract(tasks.voice, '$.id') AND voices.owner = tasks.owner
            )
        )
    ORDER BY completed_at, id
    LIMIT :limit
);

-- name: ended_generations
SELECT id, audio_key AS key FROM generations
WHERE completed_at IS NOT NULL AND completed_at <= :ended
    AND NOT EXISTS (
        SELECT 1 FROM tasks
        WHERE tasks.id = generations.task_id AND (active = 1 OR next_action_at IS NOT NULL)
    )
    AND NOT EXISTS (
        SELECT 1 FROM effects
        WHERE effects.owner = generations.owner AND effects.task_id = generations.task_id
            AND effects.state = 'owed'
    )
ORDER BY completed_at, id
LIMIT :limit;

-- name: ended_effects
SELECT key AS id, NULL AS key FROM effects
WHERE state IN ('delivered', 'gave_up') AND created_at <= :ended
LIMIT :limit;

-- name: owned_voices
SELECT id, reference_audio_key AS key FROM voices
WHERE owner = :owner
ORDER BY created_at, id
LIMIT :limit;

-- name: owned_tasks
SELECT id, CASE WHEN kind = 'clone' THEN clip_key ELSE audio_key END AS key FROM tasks
WHERE owner = :owner AND active = 0
    AND (
        :abandon_owed
        OR (
            next_action_at IS NULL
            AND NOT EXISTS (
                SELECT 1 FROM effects
                WHERE effects.owner = tasks.owner AND effects.task_id = tasks.id
                    AND effects.state = 'owed'
            )
        )
    )
ORDER BY created_at, id
LIMIT :limit;

-- name: owned_generations
SELECT id, audio_key AS key FROM generations
WHERE owner = :owner
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = generations.task_id AND active = 1)
ORDER BY created_at, id
LIMIT :limit;

-- name: owned_effects
SELECT key AS id, NULL AS key FROM effects
WHERE owner = :owner
    AND (
        :abandon_owed OR state <> 'owed'
        OR NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = effects.task_id)
    )
LIMIT :limit;

-- name: purge_tasks
DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(:ids));

-- name: purge_generations
DELETE FROM generations WHERE id IN (SELECT value FROM json_each(:ids));

-- name: purge_voices
DELETE FROM voices WHERE id IN (SELECT value FROM json_each(:ids));

-- name: purge_effects
DELETE FROM effects WHERE key IN (SELECT value FROM json_each(:ids));

-- name: hide_owing_tasks
-- Those that a purge of their owner has to leave for now.
UPDATE tasks SET deleted_at = :now
WHERE owner = :owner AND active = 0 AND deleted_at IS NULL
    AND id IN (
        SELECT id FROM tasks AS unsettled WHERE unsettled.owner = :owner AND next_action_at IS NOT NULL
        UNION
        SELECT task_id FROM effects WHERE effects.owner = :owner AND state = 'owed'
    );

-- name: count_kept_tasks
SELECT count(*) AS total FROM (
    SELECT id FROM tasks
    WHERE owner = :owner AND next_action_at IS NOT NULL AND (active = 1 OR NOT :abandon_owed)
    UNION
    SELECT tasks.id FROM effects JOIN tasks ON tasks.id = effects.task_id
    WHERE effects.owner = :owner AND state = 'owed' AND NOT :abandon_owed
);

-- name: list_unsettled
SELECT * FROM tasks
WHERE owner = :owner AND next_action_at IS NOT NULL AND id > :after
ORDER BY id
LIMIT :limit;
