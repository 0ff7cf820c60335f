-- What an organization has: its input files and their bytes, kept by triggers in the transactions that
-- make and delete files, so that a quota costs a row and not a count of all files. And whether the
-- operator has suspended it, and had its open batches cancelled.
ALTER TABLE org ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE org ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE org ADD COLUMN suspended_at INTEGER;
ALTER TABLE org ADD COLUMN cancels INTEGER NOT NULL DEFAULT 0 CHECK (cancels IN (0, 1));

UPDATE org SET
	files = (SELECT count(*) FROM file
		WHERE file.org = org.id AND purpose = 'batch' AND deleted_at IS NULL),
	bytes = (SELECT coalesce(sum(file.bytes), 0) FROM file
		WHERE file.org = org.id AND purpose = 'batch' AND deleted_at IS NULL);

CREATE TRIGGER file_made AFTER INSERT ON file
WHEN new.purpose = 'batch' AND new.deleted_at IS NULL
BEGIN
	UPDATE org SET files = files + 1, bytes = bytes + new.bytes WHERE id = new.org;
END;
CREATE TRIGGER file_gone AFTER UPDATE OF deleted_at ON file
WHEN new.purpose = 'batch' AND old.deleted_at IS NULL AND new.deleted_at IS NOT NULL
BEGIN
	UPDATE org SET files = files - 1, bytes = bytes - new.bytes WHERE id = new.org;
END;

CREATE INDEX org_suspended ON org (id) WHERE suspended_at IS NOT NULL;

-- Limits of one organization, where they are other than the configuration's; 0: none.
CREATE TABLE org_limit (
	org   TEXT NOT NULL REFERENCES org (id),
	name  TEXT NOT NULL, -- 'files', 'bytes', 'uploads', 'open_batches', 'online'
	value INTEGER NOT NULL CHECK (value >= 0),
	PRIMARY KEY (org, name)
) STRICT, WITHOUT ROWID;
