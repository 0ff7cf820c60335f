-- The numbers of at most ?4 batches of organization ?1, newest first, from ?3 on and below ?2.
-- Index: batch_page.
SELECT sequence FROM batch
WHERE org = ?1 AND sequence < ?2 AND sequence >= ?3
ORDER BY sequence DESC LIMIT ?4
