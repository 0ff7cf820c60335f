-- Number and bytes of the files of purpose ?2 that organization ?1 has at ?3.
-- Index: file_page_of_purpose.
SELECT count(*), coalesce(sum(bytes), 0)
FROM file
WHERE org = ?1 AND purpose = ?2
	AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > ?3)
