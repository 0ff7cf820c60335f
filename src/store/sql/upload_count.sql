-- How many uploads of organization ?1 are pending at ?2: what its row says, less what has expired and
-- is not swept yet. Index: org's primary key, upload_by_expiry.
SELECT org.uploads - (SELECT count(*) FROM upload INDEXED BY upload_by_expiry
	WHERE expires_at <= ?2 AND status = 0 AND org = ?1)
FROM org WHERE id = ?1
