-- Upstream $3, in its epoch $4, is no longer driven by node $1 in epoch $2. Index: primary key.
WITH freed AS (
	UPDATE upstream_leases SET node = NULL, node_epoch = 0
	WHERE upstream = $3 AND node = $1 AND node_epoch = $2 AND epoch = $4
	RETURNING 1
)
SELECT count(pg_notify('lowtide_upstreams', '')) FROM freed
