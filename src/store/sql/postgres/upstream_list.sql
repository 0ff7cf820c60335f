-- The upstreams that anybody has driven, and who drives them now. Index: primary key of nodes.
SELECT u.upstream, u.epoch, u.node, u.node_epoch,
	u.node IS NULL OR EXISTS (SELECT 1 FROM nodes AS o WHERE o.id = u.node AND o.epoch > u.node_epoch)
FROM upstream_leases AS u ORDER BY u.upstream
