-- Renews the lease of node $1 in epoch $2 by $3 us, as draining or not ($4), with floor $5. Renewed
-- so late that less than $3 - $6 us were left, it is held since now. The statement's time, not the
-- transaction's, is after the node asked. Index: primary key.
UPDATE nodes SET
	lease_until = statement_timestamp() + $3::bigint * interval '1 us',
	draining = $4,
	floor = greatest(floor, $5::bigint),
	held_since = CASE
		WHEN lease_until < statement_timestamp() + ($3 - $6::bigint) * interval '1 us'
		THEN statement_timestamp() ELSE held_since END
WHERE id = $1 AND epoch = $2
RETURNING 1
