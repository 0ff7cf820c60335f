-- Reports of nodes that are gone. Index: as report_list.sql.
DELETE FROM node_reports AS r WHERE NOT EXISTS (
	SELECT 1 FROM nodes AS n WHERE n.id = r.node AND n.lease_until <> '-infinity')
