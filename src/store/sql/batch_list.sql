-- At most ?3 batches of organization ?1, newest first, made before number ?2.
-- Index: batch_page, the primary keys.
SELECT whole.* FROM batch JOIN batch_whole AS whole ON whole.id = batch.id
WHERE batch.org = ?1 AND batch.sequence < ?2
ORDER BY batch.sequence DESC LIMIT ?3
