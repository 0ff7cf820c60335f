-- What an attempt at delivery ?1 came to; ?5: when the next one is, NULL: never. Index: id.
UPDATE webhook_delivery SET
	attempts = attempts + 1, status = ?2, latency_ms = ?3, error = ?4, next_at = ?5
WHERE id = ?1
