-- Adds a batch, validating.
INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,
	output_expires_after_s, metadata, created_at, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
