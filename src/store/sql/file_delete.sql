-- Deletes file ?1 of organization ?2 at ?3, if it is there. Index: primary key.
UPDATE file SET deleted_at = ?3
WHERE id = ?1 AND org = ?2
	AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)
