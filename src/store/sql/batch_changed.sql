-- At most ?4 batches of organization ?1 whose state changed after number ?2 and up to ?3, in that
-- order. Index: batch_changed, the primary keys.
SELECT whole.* FROM batch JOIN batch_whole AS whole ON whole.id = batch.id
WHERE batch.org = ?1 AND batch.changed > ?2 AND batch.changed <= ?3
ORDER BY batch.changed LIMIT ?4
