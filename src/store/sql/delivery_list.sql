-- At most ?3 deliveries of the last ?4 of endpoint ?1, newest first, made before number ?2.
-- Index: webhook_delivery_page.
SELECT id, event, type, at, attempts, status, latency_ms, error, next_at
FROM webhook_delivery
WHERE endpoint = ?1 AND sequence < ?2 AND sequence >= (SELECT min(sequence) FROM (
	SELECT sequence FROM webhook_delivery WHERE endpoint = ?1 ORDER BY sequence DESC LIMIT ?4) AS last)
ORDER BY sequence DESC LIMIT ?3
