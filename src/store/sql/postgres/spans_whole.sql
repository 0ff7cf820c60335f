-- Batches all of whose spans are finished, and that are not final. Index: batch_open, primary key,
-- spans_open.
SELECT id FROM batch AS b
WHERE NOT final AND status IN (2, 3)
	AND EXISTS (SELECT 1 FROM spans WHERE batch = b.id)
	AND NOT EXISTS (SELECT 1 FROM spans WHERE batch = b.id AND NOT finished)
ORDER BY expires_at, id LIMIT $1
