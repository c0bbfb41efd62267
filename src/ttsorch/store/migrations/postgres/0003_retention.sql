-- What a purge by age begins with. Tasks that make voices may have to stay for long, and are not to be in
-- the way of the others. On big tables the operator may have made these indexes beforehand.
CREATE INDEX IF NOT EXISTS tasks_ended_speech ON ttsorch.tasks (completed_at, id)
    WHERE completed_at IS NOT NULL AND kind = 'generate';
CREATE INDEX IF NOT EXISTS tasks_ended_casting ON ttsorch.tasks (completed_at, id)
    WHERE completed_at IS NOT NULL AND kind <> 'generate';
CREATE INDEX IF NOT EXISTS generations_ended ON ttsorch.generations (completed_at, id)
    WHERE completed_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS effects_of_task ON ttsorch.effects (owner, task_id);

INSERT INTO ttsorch.migrations (version, readable_from) VALUES (3, 1);
