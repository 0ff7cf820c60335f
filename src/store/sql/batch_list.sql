-- At most ?4 batches of organization ?1, newest first, before the batch ?3 made at ?2.
-- Index: batch_page, progress' primary key.
SELECT * FROM batch_whole
WHERE org = ?1 AND (created_at, id) < (?2, ?3)
ORDER BY created_at DESC, id DESC LIMIT ?4
