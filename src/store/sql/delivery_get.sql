-- Delivery ?1 of endpoint ?2. Index: id.
SELECT id, event, type, at, attempts, status, latency_ms, error, next_at
FROM webhook_delivery WHERE id = ?1 AND endpoint = ?2
