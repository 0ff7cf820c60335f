-- At most ?1 blobs that may go: of no file; or of deleted files whose blob is there and that no open
-- batch reads, the first to be deleted first. An open batch does write files, but those have no rows
-- yet. Index: primary key, file_spare, batch_open_by_input.
SELECT id FROM spare_blob WHERE id > ''
UNION ALL
SELECT id FROM (
	SELECT id FROM file
	WHERE deleted_at IS NOT NULL AND NOT blob_gone
		AND NOT EXISTS (SELECT 1 FROM batch WHERE input_file_id = file.id AND NOT final)
	ORDER BY deleted_at, id
) AS deleted
LIMIT ?1
