-- Of objects that the bucket lists, arrays $1 to $4 of their names and of the node, epoch and
-- number that the names say: those that are out of reach and that no row names are seen now, if
-- they were not before. One statement, one moment: what a node's epoch or floor rules out has been
-- decided before that was written, so its rows are seen where it is. Index: primary keys,
-- journal_pieces_of_chunk, spans_output_part, spans_error_part.
INSERT INTO garbage (name, seen)
SELECT a.name, statement_timestamp()
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS a (name, node, epoch, number)
WHERE NOT EXISTS (SELECT 1 FROM nodes AS o
		WHERE o.id = a.node AND o.epoch = a.epoch AND a.number >= o.floor)
	AND NOT EXISTS (SELECT 1 FROM journal_pieces AS p WHERE p.chunk = a.name)
	AND NOT EXISTS (SELECT 1 FROM spans AS s WHERE s.output_part = a.name)
	AND NOT EXISTS (SELECT 1 FROM spans AS s WHERE s.error_part = a.name)
ON CONFLICT (name) DO NOTHING
RETURNING 1
