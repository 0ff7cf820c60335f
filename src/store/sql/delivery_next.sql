-- At most ?2 deliveries to endpoint ?1 that are to be sent, the next one first.
-- Index: webhook_delivery_due.
SELECT d.id, d.event, d.type, d.batch, d.at, d.began_at, d.attempts - d.attempts_before, d.next_at,
	e.id, e.url, e.secret, e.old_secret, e.old_until, e.failing
FROM webhook_delivery AS d JOIN webhook_endpoint AS e ON e.id = d.endpoint
WHERE d.endpoint = ?1 AND d.next_at IS NOT NULL
ORDER BY d.next_at, d.sequence LIMIT ?2
