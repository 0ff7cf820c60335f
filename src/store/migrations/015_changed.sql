-- The order in which batches changed their state, counted for each organization (contract 11.3, events):
-- one more than the organization's greatest, taken in the transaction that makes or moves the batch.
-- A client that knows a number asks for all that stands behind it, also after a restart. Rows that
-- are there have the order of making.
ALTER TABLE batch ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
UPDATE batch SET changed = sequence;
CREATE UNIQUE INDEX batch_changed ON batch (org, changed);
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
	hold, held_at, canary_over, changed
FROM batch JOIN progress ON progress.batch = batch.id;
