-- At most $2 objects that were seen $1 us ago. That no row names them is asked once more: what goes
-- does not come back. Index: garbage_by_age, and those of garbage_mark.
SELECT g.name FROM garbage AS g
WHERE g.seen < statement_timestamp() - $1::bigint * interval '1 us'
	AND NOT EXISTS (SELECT 1 FROM journal_pieces AS p WHERE p.chunk = g.name)
	AND NOT EXISTS (SELECT 1 FROM spans AS s WHERE s.output_part = g.name)
	AND NOT EXISTS (SELECT 1 FROM spans AS s WHERE s.error_part = g.name)
ORDER BY g.seen LIMIT $2
