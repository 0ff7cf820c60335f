-- At most ?3 endpoints of organization ?1, newest first, made before number ?2.
-- Index: webhook_endpoint_page.
SELECT id, org, name, url, event_types, secret, old_secret, old_until, created_at, updated_at
FROM webhook_endpoint
WHERE org = ?1 AND configured = FALSE AND sequence < ?2
ORDER BY sequence DESC LIMIT ?3
