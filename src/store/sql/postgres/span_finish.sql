-- Span $4 of batch $3, in its epoch $5, is finished by node $1 in epoch $2, whose row is locked, as the
-- batch's is: so no two come after the same. Its counts, and its parts; its tokens are counted
-- (pieces_settle.sql). Index: primary keys.
UPDATE spans SET finished = TRUE, completed = $6, failed = $7, expired = $8, cancelled = $9,
	retried = $10, input_tokens = $11, cached_tokens = $12, output_tokens = $13,
	reasoning_tokens = $14, total_tokens = $15, causes = $16,
	output_part = $17, output_bytes = $18, output_lines = $19,
	error_part = $20, error_bytes = $21, error_lines = $22,
	finished_after = (SELECT count(finished_after) FROM spans WHERE batch = $3)
WHERE batch = $3 AND n = $4 AND NOT finished AND node = $1 AND node_epoch = $2 AND epoch = $5
	AND EXISTS (SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2)
RETURNING 1
