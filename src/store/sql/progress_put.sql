-- How far batch ?1 is; not if it is final. Index: primary keys.
UPDATE progress SET
	segments = ?2, output_bytes = ?3, error_bytes = ?4, output_lines = ?5, error_lines = ?6,
	journal_from = ?7,
	completed = ?8, failed = ?9, expired = ?10, cancelled = ?11, retried = ?12,
	input_tokens = ?13, cached_tokens = ?14, output_tokens = ?15, reasoning_tokens = ?16,
	total_tokens = ?17, causes = ?18, counted_tokens = CASE WHEN ?19 > counted_tokens THEN ?19
		ELSE counted_tokens END
WHERE batch = ?1 AND EXISTS (SELECT 1 FROM batch WHERE id = ?1 AND NOT final)
