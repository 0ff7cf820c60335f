-- The same of a start $1 that was before and is no more, in whichever epoch. Index: primary key.
WITH gone AS (
	UPDATE nodes SET epoch = epoch + 1, lease_until = '-infinity', held_since = '-infinity',
		floor = 0, ticket = 0, draining = FALSE
	WHERE id = $1 AND lease_until <> '-infinity'
	RETURNING 1
)
SELECT count(pg_notify('lowtide_nodes', '')) FROM gone
