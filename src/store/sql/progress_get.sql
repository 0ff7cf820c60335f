-- How far batch ?1 is. Index: primary keys.
SELECT segments, output_bytes, error_bytes, output_lines, error_lines, journal_from,
	total, completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, causes,
	counted_tokens
FROM progress JOIN batch ON batch.id = progress.batch
WHERE progress.batch = ?1
