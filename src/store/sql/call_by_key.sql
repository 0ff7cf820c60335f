-- What key ?1 made on route ?2 with idempotency key ?3 after ?4. Index: call_by_key.
SELECT answer, fingerprint FROM call
WHERE api_key = ?1 AND route = ?2 AND idempotency_key = ?3 AND created_at > ?4
ORDER BY created_at DESC LIMIT 1
