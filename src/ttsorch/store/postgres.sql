-- Every statement of the PostgreSQL store. {{name}} stands for the block of that name.
--
-- Columns are always listed: a prepared statement that says * breaks on the day a column is added.
-- Parameters come without a type; where PostgreSQL couldn't tell it, a cast does.

-- name: now
-- clock_timestamp(), not now(), which stands still in a transaction. Always used as a subquery: that is
-- evaluated once, so that an index can be searched by it. :clock is a test's clock, or NULL.
SELECT coalesce(%(clock)s::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now

-- name: task_columns
t.id, t.owner, t.provider, t.kind, t.generation_id, t.voice, t.options, t.characters, t.idempotency_key,
t.payload_hash, t.phase, t.version, t.fence, t.lease_until, t.next_action_at, t.attempts, t.resubmits,
t.outcome_open, t.finalize_attempts, t.poll_count, t.ticket, t.envelope, t.result_expires_at, t.receipt,
t.word, t.elapsed, t.progress, t.doubted_at, t.error, t.audio, t.cancel_owed, t.cancel_attempts,
t.accept_by, t.finish_by, t.created_at, t.updated_at, t.submitted_at, t.completed_at, t.deleted_at

-- name: generation_columns
g.id AS g_id, g.owner AS g_owner, g.task_id AS g_task_id, g.voice_id AS g_voice_id,
g.voice_name AS g_voice_name, g.text AS g_text, g.language AS g_language, g.status AS g_status,
g.audio AS g_audio, g.error_message AS g_error_message, g.created_at AS g_created_at,
g.completed_at AS g_completed_at

-- name: voice_columns
v.id, v.owner, v.name, v.tts_provider, v.source, v.language, v.description, v.reference_transcript,
v.reference_audio_key, v.provider_voice_id, v.provider_target_model, v.provider_voice_kind, v.created_at,
v.deleted_at

-- name: effect_columns
e.key, e.owner, e.task_id, e.status, e.state, e.attempts, e.told, e.error, e.due_at, e.created_at

-- name: with_generation
LEFT JOIN ttsorch.generations AS g ON g.id = t.generation_id AND g.owner = t.owner

-- name: greeting
-- A pooler between us and the server makes a process id of its own up.
WITH moment AS MATERIALIZED ({{now}})
SELECT pg_backend_pid() AS backend, current_setting('server_encoding') AS encoding, now AS asked_at
FROM moment;

-- name: begin_migration
-- Ends with the transaction, so it is safe behind a transaction pooler.
SELECT pg_advisory_xact_lock(hashtextextended('ttsorch:migrations', 0));

-- name: has_schema
-- From the catalogue's rows, not by to_regclass: that answers out of a cache, which who waited for its turn
-- has filled before the others' migration.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'ttsorch' AND c.relname = 'migrations'
) AS there;

-- name: schema_version
SELECT max(version) AS version, max(readable_from) AS readable_from FROM ttsorch.migrations;

-- name: bound_statement
SELECT
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('lock_timeout', %(lock_timeout)s, true);

-- name: wait_for_locks
-- For as long at most, until the transaction ends.
SELECT set_config('lock_timeout', %(lock_timeout)s, true);

-- name: one_of_an_owner_at_a_time
-- Creates that are counted take turns, owner by owner. In a statement of its own: the next one's snapshot
-- has to be younger than the lock.
SELECT pg_advisory_xact_lock(hashtextextended('ttsorch:owner:' || %(owner)s::text, 0));

-- name: one_at_a_provider_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended('ttsorch:provider:' || %(provider)s::text, 0));

-- name: create_job
-- A limit that is NULL is not counted. wait: until the submit whose age decides is out of the window. pause:
-- how long nothing may be sent to the provider, which what has ended doesn't mind. What was put aside as
-- unreadable takes no slot: its owner has no way to end it.
WITH moment AS MATERIALIZED ({{now}}),
room AS MATERIALIZED (
    SELECT
        CASE WHEN %(active_per_owner)s::bigint IS NULL THEN false ELSE %(active_per_owner)s::bigint <= (
            SELECT count(*) FROM ttsorch.tasks
            WHERE owner = %(owner)s AND active AND kind <> 'clone'
                AND failure IS DISTINCT FROM 'unreadable'
        ) END AS owner_full,
        CASE WHEN %(submits_per_minute)s::bigint IS NOT NULL THEN (
            SELECT created_at FROM ttsorch.tasks
            WHERE owner = %(owner)s AND kind <> 'clone'
                AND created_at > (SELECT now FROM moment) - %(window)s::bigint
            ORDER BY created_at DESC
            LIMIT 1 OFFSET greatest(%(submits_per_minute)s::bigint - 1, 0)
        ) + %(window)s::bigint - (SELECT now FROM moment) END AS wait,
        CASE WHEN %(in_flight_per_provider)s::bigint IS NULL THEN false
        ELSE %(in_flight_per_provider)s::bigint <= (
            SELECT count(*) FROM ttsorch.tasks
            WHERE provider = %(provider)s AND active AND kind <> 'clone'
        ) - (
            SELECT count(*) FROM ttsorch.tasks
            WHERE failures > 0 AND failure = 'unreadable'
                AND provider = %(provider)s AND active AND kind <> 'clone'
        ) END AS provider_full,
        CASE WHEN %(active)s::boolean THEN (
            SELECT p.until FROM ttsorch.pauses AS p
            WHERE p.provider = %(provider)s AND p.until > (SELECT now FROM moment)
        ) - (SELECT now FROM moment) END AS pause
),
task AS (
    INSERT INTO ttsorch.tasks (
        id, owner, provider, kind, generation_id, voice, options, characters, idempotency_key,
        payload_hash, phase, active, version, fence, lease_until, next_action_at, attempts, resubmits,
        outcome_open, finalize_attempts, poll_count, ticket, envelope, result_expires_at, receipt, word,
        elapsed, progress, doubted_at, error, audio, audio_key, clip_key, voice_made, cancel_owed,
        cancel_attempts, accept_by, finish_by, created_at, updated_at, submitted_at, completed_at,
        deleted_at
    )
    SELECT
        %(id)s::text, %(owner)s::text, %(provider)s::text, %(kind)s::text, %(generation_id)s::text,
        %(voice)s::text, %(options)s::text, %(characters)s::bigint, %(idempotency_key)s::text,
        %(payload_hash)s::text, %(phase)s::text, %(active)s::boolean, %(version)s::bigint,
        %(fence)s::bigint + %(grants)s::bigint,
        CASE %(grants)s::bigint WHEN 1 THEN now + %(lease)s::bigint ELSE %(lease_until)s::bigint END,
        CASE %(grants)s::bigint WHEN 1 THEN now + %(lease)s::bigint ELSE %(next_action_at)s::bigint END,
        %(attempts)s::bigint, %(resubmits)s::bigint, %(outcome_open)s::boolean,
        %(finalize_attempts)s::bigint, %(poll_count)s::bigint, %(ticket)s::text, %(envelope)s::text,
        %(result_expires_at)s::bigint, %(receipt)s::text, %(word)s::text, %(elapsed)s::double precision,
        %(progress)s::double precision, %(doubted_at)s::bigint, %(error)s::text, %(audio)s::text,
        %(audio_key)s::text, %(clip_key)s::text, %(voice_made)s::boolean, %(cancel_owed)s::boolean,
        %(cancel_attempts)s::bigint, %(accept_by)s::bigint, %(finish_by)s::bigint,
        %(created_at)s::bigint, %(updated_at)s::bigint, %(submitted_at)s::bigint,
        %(completed_at)s::bigint, %(deleted_at)s::bigint
    FROM moment, room
    WHERE NOT room.owner_full AND room.wait IS NULL AND NOT room.provider_full AND room.pause IS NULL
    ON CONFLICT DO NOTHING
    RETURNING fence, lease_until, next_action_at
),
generation AS (
    INSERT INTO ttsorch.generations (
        id, owner, task_id, voice_id, voice_name, text, text_folded, language, status, audio, audio_key,
        error_message, created_at, completed_at
    )
    SELECT
        %(g_id)s::text, %(g_owner)s::text, %(g_task_id)s::text, %(g_voice_id)s::text,
        %(g_voice_name)s::text, %(g_text)s::text, %(g_text_folded)s::text, %(g_language)s::text,
        %(g_status)s::text, %(g_audio)s::text, %(g_audio_key)s::text, %(g_error_message)s::text,
        %(g_created_at)s::bigint, %(g_completed_at)s::bigint
    FROM task
    WHERE %(g_id)s::text IS NOT NULL
)
SELECT
    room.owner_full, room.wait, room.provider_full, room.pause, task.fence, task.lease_until,
    task.next_action_at, moment.now AS asked_at
FROM moment CROSS JOIN room LEFT JOIN task ON true;

-- name: earlier_job
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.owner = %(owner)s AND (t.id = %(id)s OR t.idempotency_key = %(idempotency_key)s)
ORDER BY t.id = %(id)s DESC
LIMIT 1;

-- name: job_by_key
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.owner = %(owner)s AND t.idempotency_key = %(idempotency_key)s;

-- name: job
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.id = %(id)s AND t.owner = %(owner)s
    AND (t.deleted_at IS NULL OR %(include_deleted)s::boolean);

-- name: record_poll
-- Where nothing was counted the row is read as it was when the statement began.
WITH moment AS MATERIALIZED ({{now}}),
counted AS (
    UPDATE ttsorch.tasks AS t SET poll_count = t.poll_count + 1
    WHERE t.id = %(id)s AND t.owner = %(owner)s AND t.deleted_at IS NULL AND t.active
    RETURNING {{task_columns}}
)
SELECT {{task_columns}}, {{generation_columns}}, true AS counted, true AS active, moment.now AS asked_at
FROM moment CROSS JOIN counted AS t {{with_generation}}
UNION ALL
SELECT {{task_columns}}, {{generation_columns}}, false AS counted, t.active, moment.now AS asked_at
FROM moment CROSS JOIN ttsorch.tasks AS t {{with_generation}}
WHERE t.id = %(id)s AND t.owner = %(owner)s AND t.deleted_at IS NULL
    AND NOT EXISTS (SELECT FROM counted);

-- name: write_job
-- Compare-and-set of both rows, with or without taking a lease (:grants is 1 or 0). poll_count and
-- deleted_at are the store's own, and so is fence. The generation is updated, never inserted: one that
-- its user deleted must stay deleted. Most transitions don't show in it, and its text may be long. :e_key
-- is NULL where the transition owes the world nothing. :sends says that a call to the provider is to follow.
WITH moment AS MATERIALIZED ({{now}}),
written AS (
    UPDATE ttsorch.tasks AS t SET
        provider = %(provider)s, kind = %(kind)s, generation_id = %(generation_id)s,
        voice = %(voice)s, options = %(options)s, characters = %(characters)s,
        idempotency_key = %(idempotency_key)s, payload_hash = %(payload_hash)s, phase = %(phase)s,
        active = %(active)s, version = %(version)s, fence = t.fence + %(grants)s::bigint,
        lease_until =
            CASE %(grants)s::bigint WHEN 1 THEN now + %(lease)s::bigint ELSE %(lease_until)s::bigint END,
        next_action_at =
            CASE %(grants)s::bigint WHEN 1 THEN now + %(lease)s::bigint ELSE %(next_action_at)s::bigint END,
        attempts = %(attempts)s, resubmits = %(resubmits)s, outcome_open = %(outcome_open)s,
        finalize_attempts = %(finalize_attempts)s, ticket = %(ticket)s, envelope = %(envelope)s,
        result_expires_at = %(result_expires_at)s, receipt = %(receipt)s, word = %(word)s,
        elapsed = %(elapsed)s, progress = %(progress)s, doubted_at = %(doubted_at)s, error = %(error)s,
        audio = %(audio)s, audio_key = %(audio_key)s, clip_key = %(clip_key)s,
        voice_made = %(voice_made)s, cancel_owed = %(cancel_owed)s,
        cancel_attempts = %(cancel_attempts)s, accept_by = %(accept_by)s, finish_by = %(finish_by)s,
        created_at = %(created_at)s, updated_at = %(updated_at)s, submitted_at = %(submitted_at)s,
        completed_at = %(completed_at)s, failures = 0, failure = NULL
    FROM moment
    WHERE t.id = %(id)s AND t.owner = %(owner)s AND t.version = %(expected_version)s
        AND (%(grants)s::bigint = 0 OR t.lease_until IS NULL OR t.lease_until <= moment.now)
        AND (
            NOT %(sends)s::boolean OR (
                SELECT p.until FROM ttsorch.pauses AS p
                WHERE p.provider = t.provider AND p.until > (SELECT now FROM moment)
            ) IS NULL
        )
    RETURNING t.owner, t.fence, t.lease_until, t.next_action_at, t.poll_count, t.deleted_at
),
reflected AS (
    UPDATE ttsorch.generations AS g SET
        task_id = %(g_task_id)s, voice_id = %(g_voice_id)s, voice_name = %(g_voice_name)s,
        text = %(g_text)s, text_folded = %(g_text_folded)s, language = %(g_language)s,
        status = %(g_status)s, audio = %(g_audio)s, audio_key = %(g_audio_key)s,
        error_message = %(g_error_message)s, created_at = %(g_created_at)s,
        completed_at = %(g_completed_at)s
    FROM written
    WHERE g.id = %(g_id)s AND g.owner = written.owner
        AND (
            g.task_id, g.voice_id, g.voice_name, g.text, g.text_folded, g.language, g.status, g.audio,
            g.audio_key, g.error_message, g.created_at, g.completed_at
        ) IS DISTINCT FROM (
            %(g_task_id)s, %(g_voice_id)s, %(g_voice_name)s, %(g_text)s, %(g_text_folded)s,
            %(g_language)s, %(g_status)s, %(g_audio)s, %(g_audio_key)s, %(g_error_message)s,
            %(g_created_at)s::bigint, %(g_completed_at)s::bigint
        )
),
owed AS (
    INSERT INTO ttsorch.effects (
        key, owner, task_id, status, state, attempts, told, error, due_at, created_at
    )
    SELECT
        %(e_key)s::text, %(e_owner)s::text, %(e_task_id)s::text, %(e_status)s::text, %(e_state)s::text,
        %(e_attempts)s::bigint, %(e_told)s::text, %(e_error)s::text, %(e_due_at)s::bigint,
        %(e_created_at)s::bigint
    FROM written
    WHERE %(e_key)s::text IS NOT NULL
    ON CONFLICT (key) DO NOTHING
)
SELECT
    written.fence, written.lease_until, written.next_action_at, written.poll_count, written.deleted_at,
    moment.now AS asked_at
FROM moment CROSS JOIN written;

-- name: renew
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.tasks AS t SET
    lease_until = moment.now + %(lease)s::bigint, next_action_at = moment.now + %(lease)s::bigint
FROM moment
WHERE t.id = %(id)s AND t.fence = %(fence)s AND t.lease_until IS NOT NULL
RETURNING moment.now AS asked_at;

-- name: plan_by_index
-- For claim_due, until its transaction ends. Most of what was last vacuumed a while ago the planner would
-- rather read as a whole and sort; and compiling a plan takes longer than to run this one.
SELECT
    set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true),
    set_config('jit', 'off', true);

-- name: pause_of_task
-- Until when what is queued must not be sent, if it has time to wait.
SELECT p.until FROM ttsorch.pauses AS p
WHERE p.provider = t.provider AND p.until > (SELECT now FROM moment)
    AND t.phase = 'queued' AND least(t.accept_by, t.finish_by) > (SELECT now FROM moment)

-- name: claim_due
-- Whose turn it is, is worked out without a lock. Then one row after another is locked in that order, if
-- nobody else has it and it still is due, until there are :limit.
--
-- Up to :most due jobs are sorted, from the index alone. A backlog is not: it is gone through from owner to
-- owner, looking at as few jobs of each as make four batches, so that others find theirs at the same time.
WITH RECURSIVE moment AS MATERIALIZED ({{now}}),
size AS MATERIALIZED (
    SELECT count(*) >= %(most)s::bigint AS backlog FROM (
        SELECT FROM ttsorch.tasks
        WHERE next_action_at > -4611686018427387904
            AND next_action_at <= (SELECT now FROM moment)
        LIMIT %(most)s::bigint
    ) AS counted
),
owners (owner) AS (
    (
        SELECT owner FROM ttsorch.tasks WHERE next_action_at IS NOT NULL ORDER BY owner LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT t.owner FROM ttsorch.tasks AS t
        WHERE t.next_action_at IS NOT NULL AND t.owner > owners.owner
        ORDER BY t.owner
        LIMIT 1
    )
    FROM owners WHERE owners.owner IS NOT NULL
),
share (most) AS MATERIALIZED (
    SELECT 1 + 4 * %(limit)s::bigint / greatest(1, count(owner)) FROM owners
),
candidates AS (
    SELECT owner, result_expires_at, next_action_at, id FROM ttsorch.tasks
    WHERE NOT (SELECT backlog FROM size)
        AND next_action_at > -4611686018427387904
        AND next_action_at <= (SELECT now FROM moment)
    UNION ALL
    SELECT owners.owner, first.result_expires_at, first.next_action_at, first.id
    FROM owners CROSS JOIN LATERAL (
        (
            SELECT result_expires_at, next_action_at, id FROM ttsorch.tasks
            WHERE owner = owners.owner AND result_expires_at IS NOT NULL
                AND next_action_at IS NOT NULL AND next_action_at <= (SELECT now FROM moment)
            ORDER BY result_expires_at, next_action_at, id
            LIMIT (SELECT most FROM share)
        )
        UNION ALL
        (
            SELECT result_expires_at, next_action_at, id FROM ttsorch.tasks
            WHERE owner = owners.owner AND result_expires_at IS NULL
                AND next_action_at IS NOT NULL AND next_action_at <= (SELECT now FROM moment)
            ORDER BY result_expires_at, next_action_at, id
            LIMIT (SELECT most FROM share)
        )
    ) AS first
    WHERE (SELECT backlog FROM size)
),
ordered AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY turn, result_expires_at, next_action_at, id) AS place
    FROM (
        SELECT id, result_expires_at, next_action_at, row_number() OVER (
            PARTITION BY owner ORDER BY result_expires_at, next_action_at, id
        ) AS turn
        FROM candidates
    ) AS numbered
    ORDER BY turn, result_expires_at, next_action_at, id
),
due AS MATERIALIZED (
    SELECT mine.id, ordered.place FROM ordered CROSS JOIN LATERAL (
        SELECT t.id FROM ttsorch.tasks AS t
        WHERE t.id = ordered.id
            -- Said so that nobody thinks of looking it up in the index of what is due.
            AND coalesce(t.next_action_at <= (SELECT now FROM moment), false)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS mine
    LIMIT %(limit)s
),
held AS (
    UPDATE ttsorch.tasks AS t SET next_action_at = coalesce(
        (
            SELECT least(
                pause.until + (random() * %(spread)s::bigint)::bigint, t.accept_by, t.finish_by
            )
            FROM ({{pause_of_task}}) AS pause
        ),
        (SELECT now FROM moment) + %(hold)s::bigint
    )
    WHERE t.id = ANY (ARRAY(SELECT due.id FROM due))
    RETURNING {{task_columns}}, EXISTS ({{pause_of_task}}) AS put_off
)
SELECT {{task_columns}}, {{generation_columns}}, t.put_off, size.backlog, moment.now AS asked_at
FROM moment CROSS JOIN size
LEFT JOIN (held AS t JOIN due ON due.id = t.id) ON true {{with_generation}}
ORDER BY due.place;

-- name: list_tasks
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.owner = %(owner)s AND t.deleted_at IS NULL
    AND (t.created_at, t.id) < (%(before_created_at)s, %(before_id)s)
    AND (%(active)s::boolean IS NULL OR t.active = %(active)s::boolean)
    AND (%(kind)s::text IS NULL OR t.kind = %(kind)s::text)
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s;

-- name: list_active_tasks
-- The same for active ones only: few, and in an index of their own.
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.owner = %(owner)s AND t.deleted_at IS NULL AND t.active
    AND (t.created_at, t.id) < (%(before_created_at)s, %(before_id)s)
    AND (%(kind)s::text IS NULL OR t.kind = %(kind)s::text)
ORDER BY t.created_at DESC, t.id DESC
LIMIT %(limit)s;

-- name: list_unknown
WITH moment AS MATERIALIZED ({{now}})
SELECT {{task_columns}}, {{generation_columns}}, moment.now AS asked_at
FROM moment CROSS JOIN ttsorch.tasks AS t {{with_generation}}
WHERE t.outcome_open AND (t.lease_until IS NULL OR t.lease_until <= (SELECT now FROM moment))
ORDER BY t.created_at, t.id
LIMIT %(limit)s;

-- name: hide_task
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.tasks AS t SET deleted_at = moment.now
FROM moment
WHERE t.id = %(id)s AND t.owner = %(owner)s AND t.deleted_at IS NULL
RETURNING moment.now AS asked_at;

-- name: claim_effects
WITH moment AS MATERIALIZED ({{now}}),
due AS MATERIALIZED (
    SELECT e.key, e.due_at AS was_due_at FROM ttsorch.effects AS e
    WHERE e.due_at IS NOT NULL AND e.due_at <= (SELECT now FROM moment)
    ORDER BY e.due_at, e.key
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
),
held AS (
    UPDATE ttsorch.effects AS e SET due_at = (SELECT now FROM moment) + %(hold)s::bigint
    WHERE e.key = ANY (ARRAY(SELECT due.key FROM due))
    RETURNING {{effect_columns}}
)
SELECT {{effect_columns}}, moment.now AS asked_at
FROM moment CROSS JOIN held AS e JOIN due ON due.key = e.key
ORDER BY due.was_due_at, e.key;

-- name: put_effects_aside
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.effects AS e SET due_at = moment.now + %(hold)s::bigint
FROM moment
WHERE e.key = ANY (%(keys)s::text[]) AND e.due_at IS NOT NULL
RETURNING moment.now AS asked_at;

-- name: write_effect
UPDATE ttsorch.effects SET
    state = %(e_state)s, attempts = %(e_attempts)s, told = %(e_told)s, error = %(e_error)s,
    due_at = %(e_due_at)s
WHERE key = %(e_key)s AND attempts = %(e_attempts)s::bigint - 1
RETURNING key;

-- name: list_effects
SELECT {{effect_columns}} FROM ttsorch.effects AS e
WHERE e.state = %(state)s
ORDER BY e.created_at, e.key
LIMIT %(limit)s;

-- name: generation
SELECT {{generation_columns}} FROM ttsorch.generations AS g
WHERE g.id = %(id)s AND g.owner = %(owner)s;

-- name: matching_generations
ttsorch.generations AS g
WHERE g.owner = %(owner)s
    AND (%(status)s::text[] IS NULL OR g.status = ANY (%(status)s::text[]))
    AND (%(search)s::text = '' OR strpos(g.text_folded, %(search)s::text) > 0)

-- name: page_of_generations
WITH found AS (SELECT count(*) AS total FROM {{matching_generations}}),
page AS (
    SELECT {{generation_columns}} FROM {{matching_generations}}
    ORDER BY g.created_at DESC, g.id DESC
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT found.total, page.* FROM found LEFT JOIN page ON true
ORDER BY page.g_created_at DESC, page.g_id DESC;

-- name: delete_generation
DELETE FROM ttsorch.generations WHERE id = %(id)s AND owner = %(owner)s RETURNING id;

-- name: referenced_keys
-- A task with a generation doesn't count: its audio is the generation's, and goes when that is deleted.
SELECT audio_key AS key FROM ttsorch.generations
WHERE audio_key IS NOT NULL AND audio_key = ANY (%(keys)s::text[])
UNION
SELECT audio_key FROM ttsorch.tasks
WHERE audio_key IS NOT NULL AND audio_key = ANY (%(keys)s::text[]) AND generation_id IS NULL
UNION
SELECT reference_audio_key FROM ttsorch.voices
WHERE reference_audio_key IS NOT NULL AND reference_audio_key = ANY (%(keys)s::text[])
UNION
SELECT clip_key FROM ttsorch.tasks
WHERE clip_key IS NOT NULL AND clip_key = ANY (%(keys)s::text[]) AND kind = 'clone'
    AND (active OR voice_made);

-- name: insert_voice
-- The lock waits for a purge that is taking the task, and makes one that comes later wait for us.
WITH maker AS MATERIALIZED (
    SELECT t.id FROM ttsorch.tasks AS t
    WHERE t.id = %(of_task)s::text AND t.owner = %(owner)s
    FOR KEY SHARE
)
INSERT INTO ttsorch.voices (
    id, owner, name, name_folded, tts_provider, source, language, description, reference_transcript,
    reference_audio_key, provider_voice_id, provider_target_model, provider_voice_kind, created_at,
    deleted_at
)
SELECT
    %(id)s::text, %(owner)s::text, %(name)s::text, %(name_folded)s::text, %(tts_provider)s::text,
    %(source)s::text, %(language)s::text, %(description)s::text, %(reference_transcript)s::text,
    %(reference_audio_key)s::text, %(provider_voice_id)s::text, %(provider_target_model)s::text,
    %(provider_voice_kind)s::text, %(created_at)s::bigint, %(deleted_at)s::bigint
WHERE %(of_task)s::text IS NULL OR EXISTS (SELECT FROM maker)
ON CONFLICT (id) DO NOTHING
RETURNING id;

-- name: voice
SELECT {{voice_columns}} FROM ttsorch.voices AS v
WHERE v.id = %(id)s AND v.owner = %(owner)s
    AND (v.deleted_at IS NULL OR %(include_deleted)s::boolean);

-- name: matching_voices
ttsorch.voices AS v
WHERE v.owner = %(owner)s AND v.deleted_at IS NULL
    AND (%(source)s::text IS NULL OR v.source = %(source)s::text)
    AND (%(search)s::text = '' OR strpos(v.name_folded, %(search)s::text) > 0)

-- name: page_of_voices
WITH found AS (SELECT count(*) AS total FROM {{matching_voices}}),
page AS (
    SELECT {{voice_columns}} FROM {{matching_voices}}
    ORDER BY v.created_at DESC NULLS LAST, v.id DESC
    LIMIT %(limit)s OFFSET %(offset)s
)
SELECT found.total, page.* FROM found LEFT JOIN page ON true
ORDER BY page.created_at DESC NULLS LAST, page.id DESC;

-- name: delete_voice
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.voices AS v SET deleted_at = coalesce(v.deleted_at, moment.now)
FROM moment
WHERE v.id = %(id)s AND v.owner = %(owner)s
RETURNING moment.now AS asked_at;

-- name: pause_provider
WITH moment AS MATERIALIZED ({{now}})
INSERT INTO ttsorch.pauses AS p (provider, until, reason)
SELECT %(provider)s::text, moment.now + %(pause)s::bigint, %(reason)s::text FROM moment
ON CONFLICT (provider) DO UPDATE SET until = excluded.until, reason = excluded.reason
WHERE excluded.until > p.until
RETURNING p.until;

-- name: end_pause
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.pauses AS p SET until = moment.now
FROM moment
WHERE p.provider = %(provider)s AND p.until > moment.now
RETURNING moment.now AS asked_at;

-- name: list_pauses
WITH moment AS MATERIALIZED ({{now}})
SELECT p.provider, p.until, p.reason, moment.now AS asked_at
FROM moment CROSS JOIN ttsorch.pauses AS p
WHERE p.until > moment.now
ORDER BY p.provider;

-- name: put_aside
-- least() passes over what is NULL: no deadline, or one that has passed.
WITH moment AS MATERIALIZED ({{now}})
UPDATE ttsorch.tasks AS t SET
    failures = t.failures + 1,
    failure = %(reason)s::text,
    next_action_at = least(
        moment.now + least(%(hold)s::bigint << least(t.failures, 16)::integer, %(longest)s::bigint),
        CASE
            WHEN NOT t.active OR t.finish_by <= moment.now THEN NULL
            WHEN t.phase NOT IN ('queued', 'submit_unknown') THEN t.finish_by
            WHEN t.accept_by <= moment.now THEN NULL
            ELSE least(t.accept_by, t.finish_by)
        END
    )
FROM moment
WHERE t.id = %(id)s AND t.next_action_at IS NOT NULL
    AND (%(expected_version)s::bigint IS NULL OR t.version = %(expected_version)s::bigint)
RETURNING moment.now AS asked_at;

-- name: list_stuck
SELECT t.id, t.owner, t.provider, t.kind, t.phase, t.failures, t.failure, t.next_action_at
FROM ttsorch.tasks AS t
WHERE t.failures > 0
ORDER BY t.failures DESC, t.id
LIMIT %(limit)s;

-- name: nothing_owed
-- Of a task that has ended: its provider is told, and so are all listeners. A scalar, here and below: of
-- NOT EXISTS the planner may make a table of all that there is.
t.next_action_at IS NULL AND coalesce((
    SELECT false FROM ttsorch.effects AS e
    WHERE e.owner = t.owner AND e.task_id = t.id AND e.state = 'owed'
    LIMIT 1
), true)

-- name: purge_ended
-- What makes voices is looked up apart, so that what has to stay of it is not in the way. A preview's audio
-- goes with it; a clone's is its voice's. A task's column voice begins with the voice's id; as JSON it could
-- not be read, since what it holds may be more than PostgreSQL's JSON allows.
WITH moment AS MATERIALIZED ({{now}}),
speech AS MATERIALIZED (
    SELECT t.id, NULL::text AS key FROM ttsorch.tasks AS t
    WHERE t.kind = 'generate' AND t.completed_at IS NOT NULL
        AND t.completed_at <= (SELECT now FROM moment) - %(age)s::bigint
        AND NOT t.active AND {{nothing_owed}}
    ORDER BY t.completed_at, t.id
    LIMIT %(limit)s
    FOR UPDATE OF t SKIP LOCKED
),
casting AS MATERIALIZED (
    SELECT
        t.id,
        CASE WHEN %(audio)s::boolean AND t.kind = 'design_preview' THEN t.audio_key END AS key
    FROM ttsorch.tasks AS t
    WHERE t.kind <> 'generate' AND t.completed_at IS NOT NULL
        AND t.completed_at <= (SELECT now FROM moment) - %(age)s::bigint
        AND NOT t.active AND {{nothing_owed}}
        AND (
            (t.kind = 'design_preview' AND (%(audio)s::boolean OR t.audio IS NULL))
            OR coalesce((
                SELECT v.owner = t.owner FROM ttsorch.voices AS v
                WHERE v.id = substring(t.voice FROM '^\{"id": "([^"\\]*)"')
            ), false)
        )
    ORDER BY t.completed_at, t.id
    LIMIT %(limit)s
    FOR UPDATE OF t SKIP LOCKED
),
ended_generations AS MATERIALIZED (
    SELECT g.id, g.audio_key AS key FROM ttsorch.generations AS g
    WHERE %(audio)s::boolean AND g.completed_at IS NOT NULL
        AND g.completed_at <= (SELECT now FROM moment) - %(age)s::bigint
        AND coalesce((
            SELECT NOT t.active AND t.next_action_at IS NULL FROM ttsorch.tasks AS t
            WHERE t.id = g.task_id
        ), true)
        AND coalesce((
            SELECT false FROM ttsorch.effects AS e
            WHERE e.owner = g.owner AND e.task_id = g.task_id AND e.state = 'owed'
            LIMIT 1
        ), true)
    ORDER BY g.completed_at, g.id
    LIMIT %(limit)s
    FOR UPDATE OF g SKIP LOCKED
),
ended_effects AS MATERIALIZED (
    SELECT e.key FROM ttsorch.effects AS e
    WHERE e.state IN ('delivered', 'gave_up')
        AND e.created_at <= (SELECT now FROM moment) - %(age)s::bigint
    LIMIT %(limit)s
    FOR UPDATE OF e SKIP LOCKED
),
purged_tasks AS (
    DELETE FROM ttsorch.tasks
    WHERE NOT %(dry_run)s::boolean
        AND id = ANY (ARRAY(SELECT id FROM speech UNION ALL SELECT id FROM casting))
),
purged_generations AS (
    DELETE FROM ttsorch.generations
    WHERE NOT %(dry_run)s::boolean AND id = ANY (ARRAY(SELECT id FROM ended_generations))
),
purged_effects AS (
    DELETE FROM ttsorch.effects
    WHERE NOT %(dry_run)s::boolean AND key = ANY (ARRAY(SELECT key FROM ended_effects))
)
SELECT
    (SELECT count(*) FROM speech) + (SELECT count(*) FROM casting) AS tasks,
    (SELECT count(*) FROM ended_generations) AS generations,
    0 AS voices,
    (SELECT count(*) FROM ended_effects) AS effects,
    ARRAY(
        SELECT key FROM casting WHERE key IS NOT NULL
        UNION
        SELECT key FROM ended_generations WHERE key IS NOT NULL
    ) AS keys,
    0 AS kept,
    moment.now AS asked_at
FROM moment;

-- name: purge_owned
WITH moment AS MATERIALIZED ({{now}}),
owned_voices AS MATERIALIZED (
    SELECT v.id, v.reference_audio_key AS key FROM ttsorch.voices AS v
    WHERE v.owner = %(owner)s
    ORDER BY v.created_at DESC NULLS LAST, v.id DESC
    LIMIT %(limit)s
    FOR UPDATE OF v
),
owned_tasks AS MATERIALIZED (
    SELECT t.id, CASE WHEN t.kind = 'clone' THEN t.clip_key ELSE t.audio_key END AS key
    FROM ttsorch.tasks AS t
    WHERE t.owner = %(owner)s AND NOT t.active AND (%(abandon_owed)s::boolean OR {{nothing_owed}})
    ORDER BY t.created_at, t.id
    LIMIT %(limit)s
    FOR UPDATE OF t
),
owned_generations AS MATERIALIZED (
    SELECT g.id, g.audio_key AS key FROM ttsorch.generations AS g
    WHERE g.owner = %(owner)s
        AND coalesce(
            (SELECT NOT t.active FROM ttsorch.tasks AS t WHERE t.id = g.task_id), true
        )
    ORDER BY g.created_at, g.id
    LIMIT %(limit)s
    FOR UPDATE OF g
),
owned_effects AS MATERIALIZED (
    SELECT e.key FROM ttsorch.effects AS e
    WHERE e.owner = %(owner)s
        AND (
            %(abandon_owed)s::boolean OR e.state <> 'owed'
            OR coalesce((SELECT false FROM ttsorch.tasks AS t WHERE t.id = e.task_id), true)
        )
    ORDER BY e.owner, e.task_id
    LIMIT %(limit)s
    FOR UPDATE OF e
),
owing AS MATERIALIZED (
    SELECT t.id FROM ttsorch.tasks AS t
    WHERE t.owner = %(owner)s AND t.next_action_at IS NOT NULL AND NOT t.active
    UNION
    SELECT t.id FROM ttsorch.effects AS e JOIN ttsorch.tasks AS t ON t.id = e.task_id
    WHERE e.owner = %(owner)s AND e.state = 'owed'
),
purged_voices AS (
    DELETE FROM ttsorch.voices
    WHERE NOT %(dry_run)s::boolean AND id = ANY (ARRAY(SELECT id FROM owned_voices))
),
purged_tasks AS (
    DELETE FROM ttsorch.tasks
    WHERE NOT %(dry_run)s::boolean AND id = ANY (ARRAY(SELECT id FROM owned_tasks))
),
purged_generations AS (
    DELETE FROM ttsorch.generations
    WHERE NOT %(dry_run)s::boolean AND id = ANY (ARRAY(SELECT id FROM owned_generations))
),
purged_effects AS (
    DELETE FROM ttsorch.effects
    WHERE NOT %(dry_run)s::boolean AND key = ANY (ARRAY(SELECT key FROM owned_effects))
),
hidden AS (
    UPDATE ttsorch.tasks AS t SET deleted_at = (SELECT now FROM moment)
    WHERE NOT %(dry_run)s::boolean AND NOT %(abandon_owed)s::boolean
        AND t.id = ANY (ARRAY(SELECT id FROM owing)) AND t.deleted_at IS NULL
)
SELECT
    (SELECT count(*) FROM owned_tasks) AS tasks,
    (SELECT count(*) FROM owned_generations) AS generations,
    (SELECT count(*) FROM owned_voices) AS voices,
    (SELECT count(*) FROM owned_effects) AS effects,
    ARRAY(
        SELECT key FROM owned_voices WHERE key IS NOT NULL
        UNION
        SELECT key FROM owned_tasks WHERE key IS NOT NULL
        UNION
        SELECT key FROM owned_generations WHERE key IS NOT NULL
    ) AS keys,
    (SELECT count(*) FROM ttsorch.tasks WHERE owner = %(owner)s AND active)
        + CASE WHEN %(abandon_owed)s::boolean THEN 0 ELSE (SELECT count(*) FROM owing) END AS kept,
    moment.now AS asked_at
FROM moment;

-- name: list_unsettled
SELECT {{task_columns}}, {{generation_columns}}
FROM ttsorch.tasks AS t {{with_generation}}
WHERE t.owner = %(owner)s AND t.next_action_at IS NOT NULL AND t.id > %(after)s
ORDER BY t.id
LIMIT %(limit)s;
