-- Adds a batch, validating, as the newest, and as its organization's last change.
-- Index: batch_sequence, batch_page, batch_changed.
INSERT INTO batch (id, org, endpoint, input_file_id, input_missing, completion_window,
	output_expires_after_s, metadata, created_at, expires_at, skip_invalid, mixed_models,
	by_completion, max_attempts, line_timeout_s, canary, not_before, hours, token_budget,
	override, retried_from, sequence, run, changed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
	?21,
	(SELECT coalesce(max(sequence), 0) + 1 FROM batch),
	coalesce((SELECT CASE WHEN created_at > ?9 THEN run + 1 ELSE run END FROM batch WHERE org = ?2 ORDER BY sequence DESC LIMIT 1),
		0),
	(SELECT coalesce(max(changed), 0) + 1 FROM batch WHERE org = ?2))
