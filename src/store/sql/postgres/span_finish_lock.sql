-- Before a span of batch $3 is finished by node $1 in epoch $2: two last spans wait for one
-- another, and a burial waits. Index: primary keys.
WITH me AS MATERIALIZED (
	SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2 FOR KEY SHARE
)
SELECT 1 FROM batch WHERE id = $3 AND EXISTS (SELECT 1 FROM me) FOR NO KEY UPDATE
