-- The number of file ?1 of organization ?2 in the order of making, if it is there or went after ?3.
-- Index: primary key.
SELECT sequence FROM file
WHERE id = ?1 AND org = ?2 AND (coalesce(deleted_at, expires_at) IS NULL
	OR coalesce(deleted_at, expires_at) > ?3)
