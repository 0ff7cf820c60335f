-- Whether the lines of a batch's canary have ended, and it was held for that (contract 11.1).
ALTER TABLE batch ADD COLUMN canary_over INTEGER NOT NULL DEFAULT 0;
DROP VIEW batch_whole;
CREATE VIEW batch_whole AS
SELECT id, org, endpoint, input_file_id, input_missing, completion_window, status,
	created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, completed_at, failed_at,
	expired_at, cancelled_at,
	output_expires_after_s,
	skip_invalid, mixed_models, by_completion, max_attempts, line_timeout_s, canary, not_before,
	hours, token_budget, retried_from,
	total, completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
	output_file_id, error_file_id, model, metadata, errors, causes, override,
	hold, held_at, canary_over
FROM batch JOIN progress ON progress.batch = batch.id;
