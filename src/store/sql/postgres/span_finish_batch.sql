-- Batch $1, whose row is locked, has no open span any more: in progress goes to finalizing, as
-- batch_move.sql does; one that is cancelled stays so. The number of its open spans, counted after
-- the finish. Index: primary key, spans_open, batch_changed.
WITH open AS MATERIALIZED (
	SELECT count(*) AS n FROM spans WHERE batch = $1 AND NOT finished
), moved AS (
	UPDATE batch SET status = 2,
		changed = (SELECT max(b.changed) + 1 FROM batch AS b WHERE b.org = batch.org),
		finalizing_at = greatest(created_at, extract(epoch FROM statement_timestamp())::bigint)
	FROM open WHERE id = $1 AND status = 1 AND open.n = 0
		AND EXISTS (SELECT 1 FROM spans WHERE batch = $1)
)
SELECT n FROM open
