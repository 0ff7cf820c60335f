-- The latest run below ?2 of organization ?1, and the first and the last number in it of a batch made
-- after ?3 and before ?4; NULL where there is none. The numbers between are the batches made in that
-- time, or there are none if the first is not below the last. Index: batch_by_time.
SELECT run,
	(SELECT sequence FROM batch INDEXED BY batch_by_time
		WHERE org = ?1 AND run = latest.run AND created_at > ?3
		ORDER BY created_at, sequence LIMIT 1),
	(SELECT sequence FROM batch INDEXED BY batch_by_time
		WHERE org = ?1 AND run = latest.run AND created_at < ?4
		ORDER BY created_at DESC, sequence DESC LIMIT 1)
FROM batch AS latest INDEXED BY batch_by_time
WHERE org = ?1 AND run < ?2
ORDER BY run DESC LIMIT 1
