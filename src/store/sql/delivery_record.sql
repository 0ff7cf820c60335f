-- What an attempt at delivery ?1 came to; ?5: when the next one is, NULL: never. Not of one that is
-- sent anew (delivery_replay.sql) since the attempt was made, of a delivery that began at ?6. Index: id.
UPDATE webhook_delivery SET
	attempts = attempts + 1, status = ?2, latency_ms = ?3, error = ?4, next_at = ?5
WHERE id = ?1 AND began_at = ?6
