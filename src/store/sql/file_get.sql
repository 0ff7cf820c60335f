-- File ?1 of organization ?2 (NULL: of any) that is there at ?3. Index: primary key.
SELECT id, org, purpose, bytes, created_at, expires_at, sha256, filename, lines
FROM file
WHERE id = ?1 AND (org = ?2 OR ?2 IS NULL)
	AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)
