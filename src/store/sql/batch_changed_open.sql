-- As batch_changed.sql, of batches that are not final alone. Index: batch_changed_open, the primary
-- keys.
SELECT whole.* FROM batch INDEXED BY batch_changed_open JOIN batch_whole AS whole ON whole.id = batch.id
WHERE batch.org = ?1 AND batch.changed > ?2 AND batch.changed <= ?3 AND NOT batch.final
ORDER BY batch.changed LIMIT ?4
