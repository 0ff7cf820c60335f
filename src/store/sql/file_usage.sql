-- Number and bytes of the input files that organization ?1 has at ?2, pending uploads among them: what
-- its row says, less what has expired and is not swept yet. Index: org's primary key, file_by_expiry,
-- upload_by_expiry.
SELECT
	org.files - (SELECT count(*) FROM file INDEXED BY file_by_expiry
		WHERE expires_at <= ?2 AND deleted_at IS NULL AND org = ?1 AND purpose = 'batch')
	- (SELECT count(*) FROM upload INDEXED BY upload_by_expiry
		WHERE expires_at <= ?2 AND status = 0 AND org = ?1),
	org.bytes - (SELECT coalesce(sum(file.bytes), 0) FROM file INDEXED BY file_by_expiry
		WHERE expires_at <= ?2 AND deleted_at IS NULL AND org = ?1 AND purpose = 'batch')
	- (SELECT coalesce(sum(CASE WHEN received > upload.bytes THEN received ELSE upload.bytes END), 0) FROM upload INDEXED BY upload_by_expiry
		WHERE expires_at <= ?2 AND status = 0 AND org = ?1)
FROM org WHERE id = ?1
