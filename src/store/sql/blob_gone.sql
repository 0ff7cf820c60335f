-- The blob of the deleted file ?1 is gone. Index: primary key.
UPDATE file SET blob_gone = TRUE WHERE id = ?1 AND deleted_at IS NOT NULL
