-- The latest block, of ?2 and those before, in which batches have the label ?1. Index: label_block's
-- primary key.
SELECT block, bits FROM label_block
WHERE label = ?1 AND block <= ?2
ORDER BY block DESC LIMIT 1
