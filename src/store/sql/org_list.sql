-- All organizations, by name. Index: org.name (unique), api_key_of_org.
SELECT id, name, created_at, weight, suspended_at,
	(SELECT count(*) FROM api_key WHERE api_key.org = org.id AND revoked_at IS NULL)
FROM org ORDER BY name
