-- Whether blob ?1 is a file's, or one that an open batch writes.
-- Index: primary key, batch_open_by_output, batch_open_by_error.
SELECT EXISTS (SELECT 1 FROM file WHERE id = ?1 AND NOT blob_gone)
	OR EXISTS (SELECT 1 FROM batch WHERE output_file_id = ?1 AND NOT final)
	OR EXISTS (SELECT 1 FROM batch WHERE error_file_id = ?1 AND NOT final)
