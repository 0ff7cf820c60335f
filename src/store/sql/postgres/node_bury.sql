-- Node $1 in epoch $2 ends the epoch of each node whose lease is over, where its own has more than
-- $3 us left and is held for more than $4 us. Rows in order: two nodes that bury at a time do not
-- wait for one another. Waits for the transactions that have begun in that epoch (FOR KEY SHARE),
-- and they for it. Index: primary key; the rest by reading all rows, which are few.
WITH me AS MATERIALIZED (
	SELECT 1 FROM nodes
	WHERE id = $1 AND epoch = $2
		AND lease_until > statement_timestamp() + $3::bigint * interval '1 us'
		AND held_since < statement_timestamp() - $4::bigint * interval '1 us'
	FOR KEY SHARE
), over AS MATERIALIZED (
	SELECT id FROM nodes
	WHERE id <> $1 AND lease_until < statement_timestamp() AND lease_until <> '-infinity'
		AND EXISTS (SELECT 1 FROM me)
	ORDER BY id FOR UPDATE
), buried AS (
	UPDATE nodes SET epoch = epoch + 1, lease_until = '-infinity', held_since = '-infinity',
		floor = 0, ticket = 0, draining = FALSE
	FROM over WHERE nodes.id = over.id
	RETURNING nodes.id
)
SELECT count(pg_notify('lowtide_nodes', '')) FROM buried
