-- Adds a batch, validating, as the newest. Index: batch_sequence.
INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,
	output_expires_after_s, metadata, created_at, expires_at, sequence)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
	(SELECT coalesce(max(sequence), 0) + 1 FROM batch))
