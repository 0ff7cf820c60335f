-- The reports of nodes but $1 whose leases run. Index: primary keys; all rows of node_reports, which are
-- few.
SELECT r.node, r.since, r.format, r.scheduling, r.batches
FROM node_reports AS r JOIN nodes AS n ON n.id = r.node AND n.epoch = r.epoch
WHERE n.lease_until > statement_timestamp() AND r.node <> $1
ORDER BY r.node
