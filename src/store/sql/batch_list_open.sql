-- The batches that are not final, by the end of their window. Index: batch_open.
SELECT id FROM batch WHERE NOT final ORDER BY expires_at, id
