-- The spans of batch $1, where it has none and is not final: arrays, an element a span. Index:
-- primary keys.
INSERT INTO spans (batch, n, first_segment, segments, lines)
SELECT $1, a.i - 1, a.first_segment, a.segments, a.lines
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
	WITH ORDINALITY AS a (first_segment, segments, lines, i)
WHERE EXISTS (SELECT 1 FROM batch WHERE id = $1 AND NOT final)
	AND NOT EXISTS (SELECT 1 FROM spans WHERE batch = $1)
