-- The nodes that have not left nor been buried, with the us that are left of their leases, and how
-- many upstreams they drive. Index: upstream_leases_of_node; all rows of nodes, which are few.
SELECT n.id, n.epoch,
	(extract(epoch FROM n.lease_until - statement_timestamp()) * 1000000)::bigint,
	n.draining, n.floor,
	(SELECT count(*) FROM upstream_leases AS u WHERE u.node = n.id AND u.node_epoch = n.epoch),
	n.address, n.version, n.config
FROM nodes AS n WHERE n.lease_until <> '-infinity' ORDER BY n.id
