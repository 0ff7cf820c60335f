-- Span $4 of batch $3, in its epoch $5, is no longer node $1's, in epoch $2. Index: primary keys.
WITH me AS MATERIALIZED (
	SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2 FOR KEY SHARE
), freed AS (
	UPDATE spans SET node = NULL, node_epoch = 0
	WHERE batch = $3 AND n = $4 AND NOT finished AND node = $1 AND node_epoch = $2 AND epoch = $5
		AND EXISTS (SELECT 1 FROM me)
	RETURNING 1
)
SELECT count(pg_notify('lowtide_spans', '')) FROM freed
