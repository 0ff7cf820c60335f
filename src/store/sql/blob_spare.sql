-- At most ?1 deleted files whose blob is there and that no open batch reads. An open batch does
-- write files, but those have no rows yet. Index: file_spare, batch_open_by_input.
SELECT id FROM file
WHERE deleted_at IS NOT NULL AND NOT blob_gone
	AND NOT EXISTS (SELECT 1 FROM batch WHERE input_file_id = file.id AND NOT final)
ORDER BY deleted_at LIMIT ?1
