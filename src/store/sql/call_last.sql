-- The number of what key ?1 made last on route ?2 with content ?3 and no idempotency key. Index:
-- call_by_content.
SELECT coalesce(max(rowid), 0) FROM call INDEXED BY call_by_content
WHERE api_key = ?1 AND route = ?2 AND idempotency_key IS NULL AND fingerprint = ?3
