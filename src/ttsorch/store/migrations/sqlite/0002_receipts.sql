-- What the provider said about its bill, as JSON; kept when the envelope is forgotten.
ALTER TABLE tasks ADD COLUMN receipt TEXT;

PRAGMA user_version = 2;
