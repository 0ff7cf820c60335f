-- Why lines of a batch failed, as batch/causes.h writes it (contract 11.2, top_errors).
ALTER TABLE progress ADD COLUMN causes TEXT NOT NULL DEFAULT '';
DROP VIEW batch_whole;
CREATE VIEW batch_whole AS
SELECT id, org, endpoint, input_file_id, input_missing, completion_window, status,
	created_at, expires_at, in_progress_at, finalizing_at, cancelling_at, completed_at, failed_at,
	expired_at, cancelled_at,
	output_expires_after_s,
	total, completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens,
	output_file_id, error_file_id, model, metadata, errors, causes
FROM batch JOIN progress ON progress.batch = batch.id;
