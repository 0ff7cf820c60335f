-- What of a batch is other than usual (contract 11.1, batch/options.h), and the batch whose lines
-- it runs again.
ALTER TABLE batch ADD COLUMN skip_invalid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN mixed_models INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN by_completion INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN line_timeout_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN canary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN hours TEXT NOT NULL DEFAULT '';
ALTER TABLE batch ADD COLUMN token_budget INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch ADD COLUMN override TEXT;
ALTER TABLE batch ADD COLUMN retried_from TEXT;
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
	output_file_id, error_file_id, model, metadata, errors, causes, override
FROM batch JOIN progress ON progress.batch = batch.id;
