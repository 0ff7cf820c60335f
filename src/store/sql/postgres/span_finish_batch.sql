-- Batch $1, whose row is locked, has no open span any more: it is whole. The number of its open spans,
-- counted after the finish. A final one has no spans; of who was refused nothing is locked yet. Index:
-- primary keys, spans_open.
WITH open AS MATERIALIZED (
	SELECT count(*) AS n FROM spans WHERE batch = $1 AND NOT finished
), runs AS MATERIALIZED (
	SELECT 1 FROM batch WHERE id = $1 AND NOT final FOR NO KEY UPDATE
), whole AS (
	INSERT INTO whole_batches (batch)
	SELECT $1 FROM open WHERE n = 0 AND EXISTS (SELECT 1 FROM runs)
		AND EXISTS (SELECT 1 FROM spans WHERE batch = $1)
	ON CONFLICT (batch) DO NOTHING
)
SELECT n FROM open
