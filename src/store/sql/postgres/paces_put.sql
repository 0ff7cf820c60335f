-- How fast batches go at node $1, arrays, an element a batch, $2 to $5. In order of batches, as all do.
-- Index: primary key.
INSERT INTO batch_paces (batch, node, at, begun, step_s, lines)
SELECT a.batch, $1, statement_timestamp(), a.begun, a.step_s, a.lines
FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::text[]) AS a (batch, begun, step_s, lines)
ON CONFLICT (batch, node) DO UPDATE SET at = excluded.at, begun = excluded.begun,
	step_s = excluded.step_s, lines = excluded.lines
