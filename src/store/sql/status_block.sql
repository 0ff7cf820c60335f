-- The latest block, of ?3 and those before, in which organization ?1 has batches with status ?2.
-- Index: status_block's primary key.
SELECT block, bits FROM status_block
WHERE org = ?1 AND status = ?2 AND block <= ?3
ORDER BY block DESC LIMIT 1
