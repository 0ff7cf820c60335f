-- At most ?4 files of purpose ?5 of organization ?1 that are there at ?2, oldest first, made after
-- number ?3. Index: file_page_of_purpose.
SELECT id, org, purpose, bytes, created_at, expires_at, sha256, filename, lines
FROM file
WHERE org = ?1 AND purpose = ?5 AND sequence > ?3
	AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
ORDER BY sequence LIMIT ?4
