-- Moves batch ?1 to status ?3 at ?4, if its status is in the mask ?2. The only statement that
-- changes a status. A final one reached leaves the batch without result files, unless
-- batch_results puts them there in the same transaction. Index: primary key,
-- batch_changed.
UPDATE batch SET
	status = ?3,
	changed = (SELECT max(b.changed) + 1 FROM batch AS b WHERE b.org = batch.org),
	in_progress_at = CASE WHEN ?3 = 1 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE in_progress_at END,
	finalizing_at  = CASE WHEN ?3 = 2 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE finalizing_at END,
	cancelling_at  = CASE WHEN ?3 = 3 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE cancelling_at END,
	completed_at   = CASE WHEN ?3 = 4 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE completed_at END,
	failed_at      = CASE WHEN ?3 = 5 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE failed_at END,
	expired_at     = CASE WHEN ?3 = 6 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE expired_at END,
	cancelled_at   = CASE WHEN ?3 = 7 THEN CASE WHEN ?4 > created_at THEN ?4 ELSE created_at END ELSE cancelled_at END,
	output_file_id = CASE WHEN ?3 < 4 THEN output_file_id END,
	error_file_id  = CASE WHEN ?3 < 4 THEN error_file_id END
WHERE id = ?1 AND (1 << status) & ?2 <> 0
