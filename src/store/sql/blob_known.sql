-- Whether blob ?1 is a file's, one that an open batch writes, or a pending upload's (1); of a file
-- whose blob was removed, or of no file (2); or of nobody (0). Index: primary keys,
-- batch_open_by_output, batch_open_by_error, upload_by_blob. (A part's own blob has its id.)
SELECT CASE
	WHEN EXISTS (SELECT 1 FROM file WHERE id = ?1 AND NOT blob_gone)
		OR EXISTS (SELECT 1 FROM batch WHERE output_file_id = ?1 AND NOT final)
		OR EXISTS (SELECT 1 FROM batch WHERE error_file_id = ?1 AND NOT final)
		OR EXISTS (SELECT 1 FROM upload WHERE blob = ?1 AND status = 0)
		OR EXISTS (SELECT 1 FROM upload_part WHERE id = ?1) THEN 1
	WHEN EXISTS (SELECT 1 FROM file WHERE id = ?1)
		OR EXISTS (SELECT 1 FROM spare_blob WHERE id = ?1) THEN 2
	ELSE 0
END
