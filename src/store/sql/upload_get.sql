-- Upload ?1 of organization ?2. Index: primary key.
SELECT id, org, bytes, filename, expires_after_s, created_at, expires_at, status, blob,
	blob_bytes, received, parts, file, part_list
FROM upload
WHERE id = ?1 AND org = ?2
