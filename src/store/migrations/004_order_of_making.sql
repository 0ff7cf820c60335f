-- The order in which files and batches were made (contract 10). Many are made in one second, and the
-- clock may step back, so neither created_at nor a random id tells it: a number does, one more than
-- the greatest in the table, taken in the transaction that inserts. Rows that are there have their
-- rowid, which was counted in the same way. (A rowid itself would change with VACUUM.)
ALTER TABLE file ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
UPDATE file SET sequence = rowid;
CREATE UNIQUE INDEX file_sequence ON file (sequence);
DROP INDEX file_page;
CREATE INDEX file_page ON file (org, sequence) WHERE deleted_at IS NULL;
DROP INDEX file_page_of_purpose;
CREATE INDEX file_page_of_purpose ON file (org, purpose, sequence) WHERE deleted_at IS NULL;

ALTER TABLE batch ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
UPDATE batch SET sequence = rowid;
CREATE UNIQUE INDEX batch_sequence ON batch (sequence);
DROP INDEX batch_page;
CREATE INDEX batch_page ON batch (org, sequence);
