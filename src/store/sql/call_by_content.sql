-- What key ?1 made last on route ?2 with content ?3 and no idempotency key, at ?4 or later, of number ?5 or
-- greater. Index: call_by_content.
SELECT answer FROM call INDEXED BY call_by_content
WHERE api_key = ?1 AND route = ?2 AND idempotency_key IS NULL AND fingerprint = ?3
	AND created_at >= ?4 AND rowid >= ?5
ORDER BY rowid DESC LIMIT 1
