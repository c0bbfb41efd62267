-- A provider to which nothing new is sent until then. One row each, kept when it is over.
CREATE TABLE ttsorch.pauses (
    provider TEXT COLLATE "C" PRIMARY KEY,
    until    BIGINT NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL
);

-- How often in a row a step failed in a way that nobody foresaw, and with what.
ALTER TABLE ttsorch.tasks ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE ttsorch.tasks ADD COLUMN failure TEXT COLLATE "C";

CREATE INDEX tasks_stuck ON ttsorch.tasks (failures DESC, id) WHERE failures > 0;

INSERT INTO ttsorch.migrations (version, readable_from) VALUES (2, 1);
