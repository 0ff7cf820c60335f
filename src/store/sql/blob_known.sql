-- Whether blob ?1 is a file's, or one that an open batch writes (1); of a file whose blob was removed
-- (2); or of nobody (0). Index: primary key, batch_open_by_output, batch_open_by_error.
SELECT CASE
	WHEN EXISTS (SELECT 1 FROM file WHERE id = ?1 AND NOT blob_gone)
		OR EXISTS (SELECT 1 FROM batch WHERE output_file_id = ?1 AND NOT final)
		OR EXISTS (SELECT 1 FROM batch WHERE error_file_id = ?1 AND NOT final) THEN 1
	WHEN EXISTS (SELECT 1 FROM file WHERE id = ?1) THEN 2
	ELSE 0
END
