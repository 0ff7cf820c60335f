-- Moves batch ?1 to status ?3 at ?4, if its status is in the mask ?2. The only statement that
-- changes a status. A final one reached leaves the batch without result files, unless
-- batch_results puts them there in the same transaction. Index: primary key,
-- batch_changed.
UPDATE batch SET
	status = ?3,
	changed = (SELECT max(b.changed) + 1 FROM batch AS b WHERE b.org = batch.org),
	in_progress_at = iif(?3 = 1, max(?4, created_at), in_progress_at),
	finalizing_at  = iif(?3 = 2, max(?4, created_at), finalizing_at),
	cancelling_at  = iif(?3 = 3, max(?4, created_at), cancelling_at),
	completed_at   = iif(?3 = 4, max(?4, created_at), completed_at),
	failed_at      = iif(?3 = 5, max(?4, created_at), failed_at),
	expired_at     = iif(?3 = 6, max(?4, created_at), expired_at),
	cancelled_at   = iif(?3 = 7, max(?4, created_at), cancelled_at),
	output_file_id = iif(?3 >= 4, NULL, output_file_id),
	error_file_id  = iif(?3 >= 4, NULL, error_file_id)
WHERE id = ?1 AND (1 << status) & ?2
