-- The report of node $1 in epoch $2, where that is not over: since $3, in format $4, texts $5 and $6.
-- Index: primary keys.
INSERT INTO node_reports AS r (node, epoch, at, since, format, scheduling, batches)
SELECT id, epoch, statement_timestamp(), $3::bigint, $4::integer, $5::text, $6::text
FROM nodes WHERE id = $1 AND epoch = $2
ON CONFLICT (node) DO UPDATE SET epoch = excluded.epoch, at = excluded.at, since = excluded.since,
	format = excluded.format, scheduling = excluded.scheduling, batches = excluded.batches
WHERE r.epoch <= excluded.epoch
