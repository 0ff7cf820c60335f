-- At most ?2 batches that are validating and were made at ?1 or before, the earliest end first. Index:
-- batch_open; of PostgreSQL batch_validating.
SELECT id FROM batch WHERE NOT final AND status = 0 AND created_at <= ?1 ORDER BY expires_at, id LIMIT ?2
