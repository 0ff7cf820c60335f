-- The batch with number ?1 in the order of making. Index: batch_sequence, the primary keys.
SELECT whole.* FROM batch JOIN batch_whole AS whole ON whole.id = batch.id
WHERE batch.sequence = ?1
