-- Node $1 ends its epoch $2. Waits for its transactions in that epoch. Index: primary key.
WITH gone AS (
	UPDATE nodes SET epoch = epoch + 1, lease_until = '-infinity', held_since = '-infinity',
		floor = 0, ticket = 0, draining = FALSE
	WHERE id = $1 AND epoch = $2
	RETURNING 1
)
SELECT count(pg_notify('lowtide_nodes', '')) FROM gone
