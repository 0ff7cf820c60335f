-- The key in force that has the hash ?1. Index: api_key.hash (unique), org's primary key.
SELECT k.id, k.org, org.name, k.hint, k.created_at, k.revoked_at,
	org.suspended_at, k.operator
FROM api_key AS k JOIN org ON org.id = k.org
WHERE k.hash = ?1 AND k.revoked_at IS NULL
