-- Upstream $3 for node $1 in epoch $2, whose lease runs: where nobody has it, or its owner's epoch
-- is over; what is the node's already stays as it is. An epoch is over where the owner's row has a
-- later one, as seen at any time since: not where it has another, because the conflict is judged by
-- the newest row of the lease, and nodes as they were when the statement began. Index: primary
-- keys.
WITH me AS MATERIALIZED (
	SELECT 1 FROM nodes WHERE id = $1 AND epoch = $2 AND lease_until > statement_timestamp()
	FOR KEY SHARE
)
INSERT INTO upstream_leases AS u (upstream, node, node_epoch, epoch)
SELECT $3, $1, $2, 1 FROM me
ON CONFLICT (upstream) DO UPDATE SET node = $1, node_epoch = $2,
	epoch = u.epoch + CASE WHEN u.node = $1 AND u.node_epoch = $2 THEN 0 ELSE 1 END
WHERE u.node IS NULL OR (u.node = $1 AND u.node_epoch = $2)
	OR EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = u.node AND o.epoch > u.node_epoch)
RETURNING epoch
