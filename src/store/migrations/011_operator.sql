-- A key of the operator: it looks after all organizations, and has no files or requests of its own
-- (contract 13.1).
ALTER TABLE api_key ADD COLUMN operator INTEGER NOT NULL DEFAULT 0 CHECK (operator IN (0, 1));
