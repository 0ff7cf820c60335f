-- Endpoint ?1 of organization ?2. Index: id.
SELECT id, org, name, url, event_types, secret, old_secret, old_until, created_at, updated_at
FROM webhook_endpoint
WHERE id = ?1 AND org = ?2 AND NOT configured
