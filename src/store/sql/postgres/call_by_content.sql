-- As sql/call_by_content.sql; by number, since of nodes each has a clock of its own.
SELECT answer FROM call
WHERE api_key = $1 AND route = $2 AND idempotency_key IS NULL AND fingerprint = $3
	AND created_at >= $4 AND rowid >= $5
ORDER BY rowid DESC LIMIT 1
