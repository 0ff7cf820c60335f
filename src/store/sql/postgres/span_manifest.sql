-- The parts of batch $1, in the order of its spans; those that are not finished have none. Index:
-- primary key.
SELECT n, finished, coalesce(finished_after, -1),
	output_part, output_bytes, output_lines, error_part, error_bytes, error_lines,
	completed, failed, expired, cancelled, retried,
	input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, causes
FROM spans WHERE batch = $1 ORDER BY n
