-- Uploads in parts (contract 4). The bytes lie in blobs: parts that come one after the other in
-- `blob`, which becomes the file's where it is whole; others in blobs of their own.
CREATE TABLE upload (
	id             TEXT NOT NULL PRIMARY KEY,
	org            TEXT NOT NULL REFERENCES org (id),
	bytes          INTEGER NOT NULL, -- that the file is to have
	filename       TEXT NOT NULL,
	expires_after_s INTEGER NOT NULL, -- of the file, 0: as configured
	created_at     INTEGER NOT NULL,
	expires_at     INTEGER NOT NULL,
	status         INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 completed, 2 cancelled, 3 expired
	ended_at       INTEGER,
	blob           TEXT NOT NULL,
	blob_bytes     INTEGER NOT NULL DEFAULT 0, -- of it that are parts' for good
	received       INTEGER NOT NULL DEFAULT 0, -- bytes of all parts
	parts          INTEGER NOT NULL DEFAULT 0,
	file           TEXT,    -- of one that is completed
	part_list      TEXT     -- hash of the list that it was completed with
) STRICT;
CREATE INDEX upload_by_expiry ON upload (expires_at) WHERE status = 0;
CREATE INDEX upload_by_end ON upload (ended_at) WHERE status <> 0;
CREATE INDEX upload_by_blob ON upload (blob) WHERE status = 0;

-- Parts of pending uploads: `bytes` of `blob` from `at` on.
CREATE TABLE upload_part (
	id     TEXT NOT NULL PRIMARY KEY,
	upload TEXT NOT NULL REFERENCES upload (id),
	blob   TEXT NOT NULL,
	at     INTEGER NOT NULL,
	bytes  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX upload_part_of ON upload_part (upload, blob);

-- Blobs of no file that are to go.
CREATE TABLE spare_blob (
	id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A pending upload counts as a file of its organization from the beginning, with the bytes that it is
-- to have, or those of its parts if they are more.
ALTER TABLE org ADD COLUMN uploads INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER upload_made AFTER INSERT ON upload
BEGIN
	UPDATE org SET files = files + 1, bytes = bytes + new.bytes, uploads = uploads + 1
	WHERE id = new.org;
END;
CREATE TRIGGER upload_grew AFTER UPDATE OF received ON upload
WHEN max(new.bytes, new.received) <> max(old.bytes, old.received)
BEGIN
	UPDATE org
	SET bytes = bytes + max(new.bytes, new.received) - max(old.bytes, old.received)
	WHERE id = new.org;
END;
CREATE TRIGGER upload_ended AFTER UPDATE OF status ON upload
WHEN old.status = 0 AND new.status <> 0
BEGIN
	UPDATE org SET files = files - 1, bytes = bytes - max(old.bytes, old.received),
		uploads = uploads - 1
	WHERE id = new.org;
	INSERT INTO spare_blob
		SELECT blob FROM upload_part WHERE upload = new.id AND blob IS NOT new.file
		UNION SELECT new.blob WHERE new.blob IS NOT new.file;
	DELETE FROM upload_part WHERE upload = new.id;
END;
