-- What decides whose turn it is, so that a backlog is sorted without reading its rows.
DROP INDEX tasks_due;
CREATE INDEX tasks_due ON tasks (next_action_at, owner, result_expires_at, id)
    WHERE next_action_at IS NOT NULL;
CREATE INDEX tasks_due_of_owner ON tasks (owner, result_expires_at, next_action_at, id)
    WHERE next_action_at IS NOT NULL;

-- For the limit of what is under way at a provider.
CREATE INDEX tasks_in_flight ON tasks (provider) WHERE active = 1;

PRAGMA user_version = 3;
