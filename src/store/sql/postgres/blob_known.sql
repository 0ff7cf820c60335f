-- As sql/blob_known.sql; and of a finished span's part, until its batch is final, 1. Index: as there,
-- and spans_output_part, spans_error_part.
SELECT CASE
	WHEN EXISTS (SELECT 1 FROM file WHERE id = $1 AND NOT blob_gone)
		OR EXISTS (SELECT 1 FROM batch WHERE output_file_id = $1 AND NOT final)
		OR EXISTS (SELECT 1 FROM batch WHERE error_file_id = $1 AND NOT final)
		OR EXISTS (SELECT 1 FROM upload WHERE blob = $1 AND status = 0)
		OR EXISTS (SELECT 1 FROM upload_part WHERE id = $1)
		OR EXISTS (SELECT 1 FROM spans WHERE output_part = $1)
		OR EXISTS (SELECT 1 FROM spans WHERE error_part = $1) THEN 1
	WHEN EXISTS (SELECT 1 FROM file WHERE id = $1)
		OR EXISTS (SELECT 1 FROM spare_blob WHERE id = $1) THEN 2
	ELSE 0
END
