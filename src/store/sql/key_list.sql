-- The keys of organization ?1, or all if it is NULL; an administrator's command, so it may scan.
SELECT k.id, k.org, org.name, k.hint, k.created_at, k.revoked_at,
	org.suspended_at, k.operator
FROM api_key AS k JOIN org ON org.id = k.org
WHERE k.org = ?1 OR ?1 IS NULL
ORDER BY k.created_at, k.id
