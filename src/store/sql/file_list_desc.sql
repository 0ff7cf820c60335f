-- At most ?5 files of organization ?1 that are there at ?2, newest first, before the file ?4 made
-- at ?3. Index: file_page.
SELECT id, org, purpose, bytes, created_at, expires_at, sha256, filename
FROM file
WHERE org = ?1 AND (created_at, id) < (?3, ?4)
	AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
ORDER BY created_at DESC, id DESC LIMIT ?5
