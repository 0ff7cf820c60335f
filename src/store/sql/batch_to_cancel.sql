-- At most ?1 batches that the operator has cancelled and that have not begun to be.
-- Index: org_suspended, batch_open_of_model.
SELECT batch.id
FROM org INDEXED BY org_suspended
	CROSS JOIN batch INDEXED BY batch_open_of_model ON batch.org = org.id
WHERE org.suspended_at IS NOT NULL AND org.cancels AND NOT batch.final AND batch.status <> 3
LIMIT ?1
